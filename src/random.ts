/**
 * @file The seeded random number generator.
 *
 * xoshiro128** (Blackman and Vigna, 2018), seeded through splitmix32. Every random draw in graft uses an instance that was
 * passed in, so equal seeds give equal runs.
 */

import { UsageError } from "./errors.ts";

/** Streams of a run's seed, by purpose. All numbers differ and never change: equal seeds give equal runs. */
export const STREAM = {
  startValues: 0,
  orderOfRows: 1,
  dropoutOfNumbers: 2,
  droppedBranches: 3,
  heldOut: 4,
  newHead: 5,
  dropoutOfRows: 6,
  sharesOfSources: 7,
} as const;

function rotateLeft(x: number, bits: number): number {
  return (x << bits) | (x >>> (32 - bits));
}

/** Mixes the bits of a 32-bit integer: the finalizer of MurmurHash3 (Appleby). */
function mix(x: number): number {
  let z = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
  return z ^ (z >>> 16);
}

/** Seeded generator of uniform and normal numbers. */
export class Random {
  readonly #s: [number, number, number, number];

  /** Makes a generator from an integer seed and, for independent streams of one seed, further integers. */
  constructor(seed: number, ...stream: readonly number[]) {
    for (const one of [seed, ...stream]) {
      if (Number.isInteger(one)) continue;
      throw new UsageError("usage/flag", `Cannot draw by seed ${String(one)}: expected an integer`, {
        hint: "Give any integer; equal ones give equal draws.",
      });
    }
    let x = seed >>> 0;
    const next = (): number => {
      x = (x + 0x9e3779b9) | 0;
      return mix(x) >>> 0;
    };
    for (const part of stream) x = (next() ^ Math.imul(part + 1, 0x27d4eb2f)) >>> 0;
    this.#s = [next(), next(), next(), next()];
  }

  /** Draws an unsigned 32-bit integer. */
  uint32(): number {
    const s = this.#s;
    const result = Math.imul(rotateLeft(Math.imul(s[1], 5), 7), 9) >>> 0;
    const t = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotateLeft(s[3], 11);
    return result;
  }

  /** Draws a number in [0, 1) with 53 random bits. */
  uniform(): number {
    return ((this.uint32() >>> 5) * 67108864 + (this.uint32() >>> 6)) / 9007199254740992;
  }

  /**
   * Draws a function that maps every 32-bit integer to a number of its own in (0, 1), mixed twice under two keys. Advances the
   * generator as much as one number does.
   */
  uniforms(): (index: number) => number {
    const [first, second] = [this.uint32(), this.uint32()];
    return (index) => ((mix(mix(index ^ first) ^ second) >>> 0) + 0.5) / 4294967296;
  }

  /** Draws an integer in [0, below). @throws UsageError "usage/flag" */
  integer(below: number): number {
    if (!Number.isInteger(below) || below < 1) {
      throw new UsageError(
        "usage/flag",
        `Cannot draw an integer below ${String(below)}: expected an integer of 1 or more`,
        { hint: "Give how many integers there are to draw from, 0 among them." },
      );
    }
    return Math.floor(this.uniform() * below);
  }

  /** Draws from the standard normal distribution (Box and Muller). */
  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.uniform())) * Math.cos(2 * Math.PI * this.uniform());
  }

  /** Puts a list in random order, in place (Fisher and Yates). @throws UsageError "usage/flag" */
  shuffle<T>(items: T[]): T[] {
    if (!Array.isArray(items)) {
      throw new UsageError("usage/flag", `Cannot shuffle ${typeof items}: expected a list`, {
        hint: "Give an array; it is put in another order in place.",
      });
    }
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      const swap = items[i] as T;
      items[i] = items[j] as T;
      items[j] = swap;
    }
    return items;
  }
}
