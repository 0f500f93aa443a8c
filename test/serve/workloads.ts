/**
 * @file When texts come, as in Loquetier's experiments: at an even pace, one adapter after the other, in phases, around one time, as they
 * came to a service; and at once.
 */
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

/** Texts around the middle of a time, of which a tenth is the standard deviation; none before or after it. */
export function gathered(count: number, totalMs: number): Arrival[] {
  const random = new Random(3);
  const drawn: number[] = [];
  while (drawn.length < count) {
    const atMs = totalMs * (0.5 + 0.1 * random.normal());
    if (atMs >= 0 && atMs <= totalMs) drawn.push(atMs);
  }
  return drawn.sort((a, b) => a - b).map((atMs) => ({ atMs, ...lengths(random), group: 0 }));
}

/**
 * Texts in each minute of two hours at a public service: what Loquetier takes of days 29 and 33 of BurstGPT (arXiv:2401.17644, CC BY 4.0).
 * The calls of a minute are spread over it by chance.
 */
const BURST_GPT = [
  38, 44, 46, 40, 31, 25, 25, 24, 28, 26, 31, 27, 29, 41, 33, 37, 33, 44, 37, 37, 32, 91, 203, 224, 361, 423,
  206, 69, 27, 30, 37, 31, 39, 36, 34, 45, 35, 44, 94, 84, 68, 58, 71, 81, 70, 57, 69, 69, 74, 80, 72, 131,
  84, 72, 66, 76, 72, 40, 66, 89, 77, 62, 88, 93, 67, 135, 80, 138, 190, 203, 246, 253, 239, 227, 151, 175,
  129, 105, 78, 87, 89, 132, 68, 92, 125, 110, 130, 90, 126, 154, 98, 126, 76, 123, 110, 143, 113, 172, 144,
  139, 120, 119, 114, 150, 107, 106, 81, 113, 117, 82, 95, 68, 87, 91, 106, 66, 67, 49, 70, 48,
];

/** As the texts of that service came in its first minutes, at most 7 a second in the 26th. */
export function burstGpt(numMinutes = BURST_GPT.length): Arrival[] {
  const random = new Random(4);
  return BURST_GPT.slice(0, numMinutes)
    .flatMap((count, minute) =>
      Array.from({ length: count }, () => 60_000 * (minute + random.uniform())).sort((a, b) => a - b),
    )
    .map((atMs) => ({ atMs, ...lengths(random), group: 0 }));
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
