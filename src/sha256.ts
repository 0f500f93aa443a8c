/**
 * @file SHA-256 (FIPS 180-4) for browsers and Node, synchronous and incremental: Web Crypto's is asynchronous and takes its
 * input in one piece.
 */

const BLOCK_BYTES = 64;

/** First 32 bits of the fractional part of a root of each of the first primes. */
function rootBits(count: number, root: (prime: number) => number): Int32Array {
  const primes: number[] = [];
  for (let n = 2; primes.length < count; n++) if (primes.every((prime) => n % prime !== 0)) primes.push(n);
  return Int32Array.from(primes, (prime) => (root(prime) % 1) * 2 ** 32);
}

const ROUNDS = rootBits(64, Math.cbrt);

const rotate = (x: number, bits: number): number => (x >>> bits) | (x << (32 - bits));

/** A hash that is fed piece by piece. */
export class Sha256 {
  readonly #state = rootBits(8, Math.sqrt);
  readonly #schedule = new Int32Array(64);
  /** Bytes that do not fill a block yet. */
  readonly #rest = new Uint8Array(BLOCK_BYTES);
  #numBytes = 0;

  /** Adds bytes, or text as UTF-8. */
  update(piece: Uint8Array | string): this {
    const bytes = typeof piece === "string" ? new TextEncoder().encode(piece) : piece;
    let at = 0;
    const filled = this.#numBytes % BLOCK_BYTES;
    this.#numBytes += bytes.length;
    if (filled > 0) {
      at = Math.min(BLOCK_BYTES - filled, bytes.length);
      this.#rest.set(bytes.subarray(0, at), filled);
      if (filled + at < BLOCK_BYTES) return this;
      this.#addBlock(this.#rest, 0);
    }
    for (; at + BLOCK_BYTES <= bytes.length; at += BLOCK_BYTES) this.#addBlock(bytes, at);
    this.#rest.set(bytes.subarray(at));
    return this;
  }

  /** Ends the hash; nothing may be added afterwards. In hexadecimal. */
  digest(): string {
    const numBytes = this.#numBytes;
    const numZeros = (119 - (numBytes % BLOCK_BYTES)) % BLOCK_BYTES;
    const end = new Uint8Array(1 + numZeros + 8);
    end[0] = 0x80;
    new DataView(end.buffer).setBigUint64(1 + numZeros, BigInt(numBytes) * 8n);
    this.update(end);
    return Array.from(this.#state, (word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
  }

  #addBlock(bytes: Uint8Array, start: number): void {
    const w = this.#schedule;
    for (let i = 0, at = start; i < 16; i++, at += 4) {
      w[i] = (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
    }
    for (let i = 16; i < 64; i++) {
      const early = w[i - 15]!;
      const late = w[i - 2]!;
      const first = rotate(early, 7) ^ rotate(early, 18) ^ (early >>> 3);
      const second = rotate(late, 17) ^ rotate(late, 19) ^ (late >>> 10);
      w[i] = w[i - 16]! + first + w[i - 7]! + second;
    }
    const state = this.#state;
    // Separate variables: lists of eight numbers, made for every block, would take two thirds of the time.
    let a = state[0]!;
    let b = state[1]!;
    let c = state[2]!;
    let d = state[3]!;
    let e = state[4]!;
    let f = state[5]!;
    let g = state[6]!;
    let h = state[7]!;
    for (let i = 0; i < 64; i++) {
      const choice = (e & f) ^ (~e & g);
      const low = (h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + choice + ROUNDS[i]! + w[i]!) | 0;
      const majority = (a & b) ^ (a & c) ^ (b & c);
      const high = ((rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + majority) | 0;
      h = g;
      g = f;
      f = e;
      e = (d + low) | 0;
      d = c;
      c = b;
      b = a;
      a = (low + high) | 0;
    }
    state[0]! += a;
    state[1]! += b;
    state[2]! += c;
    state[3]! += d;
    state[4]! += e;
    state[5]! += f;
    state[6]! += g;
    state[7]! += h;
  }
}
