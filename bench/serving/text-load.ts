/** @file Texts that come to a server one after another: when, and what each of them meets. */
import { setTimeout as sleep } from "node:timers/promises";
import type { ServeEnd } from "../../src/engine/serving/serve-request.ts";
import type { ServingEngine } from "../../src/engine/serving/serving-engine.ts";
import type { ServiceTargets } from "../../src/engine/scheduling/service-targets.ts";
import { Random } from "../../src/random.ts";
import { median } from "../harness/statistics.ts";
import { madePrompt } from "./made-prompt.ts";

/** Texts of a burst. */
const BURST = 8;
/** Loquetier's changing load, 120 texts at 1 a second, 150 at 2.5, 240 at 2 and 120 at 1: when a phase ends, of the whole, and its rate. */
const PHASES = [
  { end: 120 / 420, rate: 1 },
  { end: 180 / 420, rate: 2.5 },
  { end: 300 / 420, rate: 2 },
  { end: 1, rate: 1 },
];

/** What even paces are off by at most, either way. */
const JITTER = 0.2;
const even = (random: Random): number => 1 - JITTER + 2 * JITTER * random.uniform();

/** Gaps before texts, of the mean one: by the number of texts that came, and how much of the time is over, 0 to 1. */
export const PATTERNS: Readonly<Record<string, (random: Random, index: number, over: number) => number>> = {
  stable: even,
  random: (random) => -Math.log(1 - random.uniform()),
  scalable: (random, _, over) => even(random) / (PHASES.find(({ end }) => over < end)?.rate ?? 1),
  bursts: (_, index) => (index % BURST === 0 ? BURST : 0),
};

export interface TextLoad {
  readonly pattern: string;
  /** On average; of `scalable`, in its first phase. */
  readonly perSecond: number;
  readonly prompt: number;
  readonly tokens: number;
  /** Of the texts, in turn; null: the base alone. */
  readonly adapters: readonly (string | null)[];
}

/** A text that has been written; times from when it came. */
export interface WrittenText {
  readonly waitMs: number;
  readonly firstTokenMs: number;
  readonly tokenMs: number;
}

/** Writes one text, which came at a time of `performance.now`. */
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

/** When texts come within so many seconds, in milliseconds; the same at every call. */
export function arrivalsOf({ pattern, perSecond }: TextLoad, seconds: number): number[] {
  const random = new Random(1);
  const gap = PATTERNS[pattern]!;
  const arrivals: number[] = [];
  for (let atMs = 0; ; arrivals.push(atMs)) {
    atMs += (1000 / perSecond) * gap(random, arrivals.length, atMs / (1000 * seconds));
    if (atMs >= 1000 * seconds) return arrivals;
  }
}

/** Has texts come, takes each to `write`, and waits for all of them. */
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
 * A server of one adapter at a time, in the order in which texts came: all that wait for the adapter of the first run as a batch to
 * their end, then it is swapped. It begins when something else has ended. A text that fails ends nobody else's wait.
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

/** Of all texts, how many met every target. */
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
