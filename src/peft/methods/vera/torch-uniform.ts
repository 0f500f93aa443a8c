/**
 * @file Draws uniform random numbers as PyTorch does for float32 tensors on a CPU: the lower 24 bits of each output of MT19937.
 *
 * Paper: Matsumoto and Nishimura, "Mersenne Twister", ACM TOMACS 8, 1998; the seeding is that of its version of 2002.
 */

/** Number of words in the state, and the distance of the second word that a new one is made from. */
const [SIZE, MIDDLE] = [624, 397];
const [TWIST, UPPER, LOWER] = [0x9908b0df, 0x80000000, 0x7fffffff];

function seeded(seed: number): Uint32Array<ArrayBuffer> {
  const state = new Uint32Array(SIZE);
  state[0] = seed;
  for (let i = 1; i < SIZE; i++) {
    const before = state[i - 1]!;
    state[i] = Math.imul(1_812_433_253, before ^ (before >>> 30)) + i;
  }
  return state;
}

/** Makes the next `SIZE` words in place. */
function twist(state: Uint32Array): void {
  for (let i = 0; i < SIZE; i++) {
    const word = (state[i]! & UPPER) | (state[(i + 1) % SIZE]! & LOWER);
    state[i] = state[(i + MIDDLE) % SIZE]! ^ (word >>> 1) ^ (word & 1 ? TWIST : 0);
  }
}

function tempered(word: number): number {
  let y = word ^ (word >>> 11);
  y ^= (y << 7) & 0x9d2c5680;
  y ^= (y << 15) & 0xefc60000;
  return y ^ (y >>> 18);
}

/** Returns a function that draws the next number in [0, 1) of `torch.Generator("cpu").manual_seed(seed)`. */
export function torchUniform(seed: number): () => number {
  const state = seeded(seed);
  let next: number = SIZE;
  return () => {
    if (next === SIZE) {
      twist(state);
      next = 0;
    }
    return (tempered(state[next++]!) & 0xffffff) / 2 ** 24;
  };
}
