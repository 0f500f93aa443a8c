/** @file When texts come, as in Loquetier's experiments: at an even pace, one adapter after the other, in phases, at once. */
import { Random } from "../../src/random.ts";
import type { Arrival } from "./virtual-machine.ts";

/** Texts at an even pace, give or take a fifth. `groups`: adapters that take turns. */
export function stable(count: number, everyMs: number, groups = 1, startMs = 0, seed = 1): Arrival[] {
  const random = new Random(seed);
  let atMs = startMs;
  return Array.from({ length: count }, (_, i) => {
    atMs += everyMs * (0.8 + 0.4 * random.uniform());
    return { atMs, ...lengths(random), group: i % groups };
  });
}

/** Adapters that have as many texts each, one every so often, each adapter some time after the one before. */
export function staggered(numAdapters: number, count: number, everyMs: number): Arrival[] {
  const streams = Array.from({ length: numAdapters }, (_, group) =>
    stable(count, everyMs, 1, (group * everyMs) / numAdapters, 1 + group).map((text) => ({ ...text, group })),
  );
  return streams.flat().sort((a, b) => a.atMs - b.atMs);
}

/** 120, 150, 240 and 120 texts, one every 1, 0.4, 0.5 and 1 seconds; `scale`: of the counts. */
export function scalable(scale = 1): Arrival[] {
  const phases = [
    [120, 1000],
    [150, 400],
    [240, 500],
    [120, 1000],
  ] as const;
  const all: Arrival[] = [];
  for (const [count, everyMs] of phases) {
    all.push(...stable(Math.round(count * scale), everyMs, 1, all.at(-1)?.atMs ?? 0, everyMs));
  }
  return all;
}

/** Texts that come at once, again and again. */
export function bursts(numBursts: number, size: number, everyMs: number): Arrival[] {
  const random = new Random(2);
  return Array.from({ length: numBursts * size }, (_, i) => ({
    atMs: Math.floor(i / size) * everyMs,
    ...lengths(random),
    group: 0,
  }));
}

/** Of short questions and answers. */
function lengths(random: Random): Pick<Arrival, "prompt" | "tokens"> {
  return { prompt: 16 + Math.floor(48 * random.uniform()), tokens: 12 + Math.floor(36 * random.uniform()) };
}
