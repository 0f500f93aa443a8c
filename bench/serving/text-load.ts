/** @file Texts that arrive at a server one after another: their times of arrival, and how long each takes. */
import { setTimeout as sleep } from "node:timers/promises";
import type { ServeEnd } from "../../src/engine/serving/serve-request.ts";
import type { ServingEngine } from "../../src/engine/serving/serving-engine.ts";
import type { ServiceTargets } from "../../src/engine/scheduling/service-targets.ts";
import { Random } from "../../src/random.ts";
import { median } from "../harness/statistics.ts";
import { madePrompt } from "./made-prompt.ts";

/** Texts of a burst. */
const BURST = 8;
/**
 * Loquetier's changing load: 120 texts at 1 per second, 150 at 2.5, 240 at 2 and 120 at 1. Each phase has its end as a share of
 * the whole time, and its rate.
 */
const PHASES = [
  { end: 120 / 420, rate: 1 },
  { end: 180 / 420, rate: 2.5 },
  { end: 300 / 420, rate: 2 },
  { end: 1, rate: 1 },
];

/** Largest relative deviation of an even pace. */
const JITTER = 0.2;
const even = (random: Random): number => 1 - JITTER + 2 * JITTER * random.uniform();

/** Gaps before texts, relative to the mean gap, by the number of earlier texts and the elapsed share of the time, 0 to 1. */
export const PATTERNS: Readonly<Record<string, (random: Random, index: number, over: number) => number>> = {
  stable: even,
  random: (random) => -Math.log(1 - random.uniform()),
  scalable: (random, _, over) => even(random) / (PHASES.find(({ end }) => over < end)?.rate ?? 1),
  bursts: (_, index) => (index % BURST === 0 ? BURST : 0),
};

export interface TextLoad {
  readonly pattern: string;
  /** Mean rate; for `scalable`, that of its first phase. */
  readonly perSecond: number;
  readonly prompt: number;
  readonly tokens: number;
  /** Adapters that texts use in turn; null: only the base. */
  readonly adapters: readonly (string | null)[];
}

/** A text that has been written; times are since its arrival. */
export interface WrittenText {
  readonly waitMs: number;
  readonly firstTokenMs: number;
  readonly tokenMs: number;
}

/** Writes one text, given its time of arrival by `performance.now`. */
export async function writeText(
  engine: ServingEngine,
  load: TextLoad,
  index: number,
  cameMs = performance.now(),
): Promise<WrittenText> {
  const { numOutputs } = engine.session.model;
  const promptIds = madePrompt(index, load.prompt, numOutputs);
  const beganMs = performance.now() - cameMs;
  const texts = engine.write({ promptIds, maxNewTokens: load.tokens, adapter: adapterOf(load, index) });
  let step = await texts.next();
  while (!step.done) step = await texts.next();
  const end: ServeEnd = step.value;
  return {
    waitMs: beganMs + end.queueMs,
    firstTokenMs: beganMs + end.firstTokenMs,
    tokenMs: (end.totalMs - end.firstTokenMs) / Math.max(1, end.numNewTokens - 1),
  };
}

function adapterOf({ adapters }: TextLoad, index: number): string | null {
  return adapters[index % adapters.length] ?? null;
}

/** Times of arrival within a number of seconds, in milliseconds; the same at every call. */
export function arrivalsOf({ pattern, perSecond }: TextLoad, seconds: number): number[] {
  const random = new Random(1);
  const gap = PATTERNS[pattern]!;
  const arrivals: number[] = [];
  for (let atMs = 0; ; arrivals.push(atMs)) {
    atMs += (1000 / perSecond) * gap(random, arrivals.length, atMs / (1000 * seconds));
    if (atMs >= 1000 * seconds) return arrivals;
  }
}

/** Calls `write` for each text when it arrives, and waits for all of them. */
export async function comeAt(
  arrivals: readonly number[],
  write: (index: number, cameMs: number) => Promise<WrittenText>,
): Promise<WrittenText[]> {
  const startMs = performance.now();
  const texts: Promise<WrittenText>[] = [];
  for (const atMs of arrivals) {
    await sleep(Math.max(0, startMs + atMs - performance.now()));
    texts.push(write(texts.length, startMs + atMs));
  }
  return await Promise.all(texts);
}

/**
 * A server that uses one adapter at a time, in the order of arrival: all texts that wait for the adapter of the first text run as a
 * batch to their end, then the adapter is swapped. It begins when something else has ended. A text that fails does not affect others.
 */
export function oneAdapterAtATime(
  engine: ServingEngine,
  load: TextLoad,
  begins: Promise<unknown>,
): (index: number, cameMs: number) => Promise<WrittenText> {
  const waiting: {
    readonly index: number;
    readonly cameMs: number;
    readonly written: PromiseWithResolvers<WrittenText>;
  }[] = [];
  let loop: Promise<void> | null = null;
  const serve = async (): Promise<void> => {
    await begins;
    for (let [first] = waiting; first; [first] = waiting) {
      const adapter = adapterOf(load, first.index);
      const batch = waiting.filter(({ index }) => adapterOf(load, index) === adapter);
      for (const text of batch) waiting.splice(waiting.indexOf(text), 1);
      const write = ({ index, cameMs, written }: (typeof batch)[number]): Promise<void> =>
        writeText(engine, load, index, cameMs).then(written.resolve, written.reject);
      await Promise.all(batch.map(write));
    }
    loop = null;
  };
  return (index, cameMs) => {
    const written = Promise.withResolvers<WrittenText>();
    waiting.push({ index, cameMs, written });
    loop ??= serve();
    return written.promise;
  };
}

/** Number of texts that met every target. */
export function numInTime(texts: readonly WrittenText[], targets: ServiceTargets): number {
  return texts.filter(
    ({ waitMs, firstTokenMs, tokenMs }) =>
      waitMs <= targets.queueMs && firstTokenMs <= targets.firstTokenMs && tokenMs <= targets.tokenMs,
  ).length;
}

/** The 50th and the 95th percentile, and the largest. */
export function percentiles(values: readonly number[]): string {
  if (values.length === 0) return "";
  const sorted = [...values].sort((a, b) => a - b);
  const high = sorted[Math.min(sorted.length - 1, Math.floor(0.95 * sorted.length))]!;
  return [median(values), high, sorted.at(-1)!].map((value) => value.toFixed(0)).join(", ");
}
