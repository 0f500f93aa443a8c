/** @file Texts that come to a server one after another: when, and what each of them meets. */
import { setTimeout as sleep } from "node:timers/promises";
import type { ServeEnd } from "../src/engine/serve-request.ts";
import type { ServingEngine } from "../src/engine/serving-engine.ts";
import type { ServiceTargets } from "../src/engine/service-targets.ts";
import { Random } from "../src/random.ts";
import { median } from "./statistics.ts";

/** Texts of a burst. */
const BURST = 8;
/** Loquetier's changing load: how often texts come against its first phase, a quarter of the time each. */
const PHASES = [1, 2.5, 2, 1];

/** Seconds up to the next text, by its number and how much of the time is over, 0 to 1. */
export const PATTERNS: Readonly<Record<string, (random: Random, index: number, over: number) => number>> = {
  random: (random) => -Math.log(1 - random.uniform()),
  even: (random) => 0.8 + 0.4 * random.uniform(),
  phases: (random, _, over) =>
    (0.8 + 0.4 * random.uniform()) / (PHASES[Math.min(3, Math.floor(4 * over))] as number),
  bursts: (_, index) => (index % BURST === BURST - 1 ? BURST : 0),
};

export interface TextLoad {
  readonly pattern: string;
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
  const promptIds = Array.from({ length: load.prompt }, (_, i) => (100 + index * 977 + i * 7) % numOutputs);
  const adapter = load.adapters[index % load.adapters.length] ?? null;
  const beganMs = performance.now() - cameMs;
  const texts = engine.write({ promptIds, maxNewTokens: load.tokens, adapter });
  let step = await texts.next();
  while (!step.done) step = await texts.next();
  const end: ServeEnd = step.value;
  return {
    waitMs: beganMs + end.queueMs,
    firstTokenMs: beganMs + end.firstTokenMs,
    tokenMs: (end.totalMs - end.firstTokenMs) / Math.max(1, end.numNewTokens - 1),
  };
}

/** Has texts come until something is over, and takes each to `write`; `seconds`: how long that is likely to last. */
export async function comeUntil(
  isOver: () => boolean,
  load: TextLoad,
  seconds: number,
  write: (index: number, cameMs: number) => Promise<WrittenText>,
): Promise<WrittenText[]> {
  const random = new Random(1);
  const startMs = performance.now();
  const texts: Promise<WrittenText>[] = [];
  const gap = PATTERNS[load.pattern] as (typeof PATTERNS)[string];
  while (!isOver()) {
    texts.push(write(texts.length, performance.now()));
    const over = (performance.now() - startMs) / (1000 * seconds);
    await sleep((1000 * gap(random, texts.length - 1, over)) / load.perSecond);
  }
  return await Promise.all(texts);
}

/** A server of one adapter at a time: all texts that wait for it run as a batch to their end, then it is swapped. */
export function oneAdapterAtATime(
  engine: ServingEngine,
  load: TextLoad,
  begins: Promise<unknown>,
): (index: number, cameMs: number) => Promise<WrittenText> {
  const waiting: {
    readonly index: number;
    readonly cameMs: number;
    readonly end: (text: WrittenText) => void;
  }[] = [];
  let loop: Promise<void> | null = null;
  const adapterOf = (index: number): string | null => load.adapters[index % load.adapters.length] ?? null;
  const serve = async (): Promise<void> => {
    await begins;
    for (let [first] = waiting; first; [first] = waiting) {
      const adapter = adapterOf(first.index);
      const batch = waiting.filter(({ index }) => adapterOf(index) === adapter);
      for (const text of batch) waiting.splice(waiting.indexOf(text), 1);
      const write = async ({ index, cameMs, end }: (typeof batch)[number]): Promise<void> =>
        end(await writeText(engine, load, index, cameMs));
      await Promise.all(batch.map(write));
    }
    loop = null;
  };
  return (index, cameMs) =>
    new Promise((end, reject) => {
      waiting.push({ index, cameMs, end });
      loop ??= serve().catch(reject);
    });
}

/** Of all texts, how many met every target. */
export function attainmentOf(texts: readonly WrittenText[], targets: ServiceTargets): number {
  const met = texts.filter(
    ({ waitMs, firstTokenMs, tokenMs }) =>
      waitMs <= targets.queueMs && firstTokenMs <= targets.firstTokenMs && tokenMs <= targets.tokenMs,
  );
  return met.length / Math.max(1, texts.length);
}

/** The 50th and the 95th percentile. */
export function percentiles(values: readonly number[]): string {
  const sorted = [...values].sort((a, b) => a - b);
  const high = sorted[Math.min(sorted.length - 1, Math.floor(0.95 * sorted.length))] ?? Number.NaN;
  return `${median(values).toFixed(0)}, ${high.toFixed(0)}`;
}
