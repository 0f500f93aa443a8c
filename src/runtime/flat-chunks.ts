/**
 * @file Cuts flat vectors into pieces that fit the processor's caches, for programs whose symbolic size is "P".
 *
 * The pieces of a vector are views, made once and remembered, so a steady loop allocates nothing.
 */
import { type HostTensor, hostTensor } from "./host-tensor.ts";

/** Elements of a piece: 256 KiB a vector, so the vectors of an update lie in the caches while they are used. */
export const CHUNK_ELEMENTS = 65_536;

type Vector = HostTensor<"float32">;

/** Remembers the pieces of vectors. */
export class FlatChunks {
  readonly #chunkElements: number;
  readonly #pieces = new WeakMap<Float32Array, Map<string, readonly Vector[]>>();
  readonly #scratch = new Map<string, Float32Array>();

  constructor(chunkElements: number = CHUNK_ELEMENTS) {
    this.#chunkElements = chunkElements;
  }

  /** The pieces of a vector from one element up to another, in order: views into it. */
  of(vector: Float32Array, from = 0, to = vector.length): readonly Vector[] {
    const known = this.#pieces.get(vector) ?? new Map<string, readonly Vector[]>();
    this.#pieces.set(vector, known);
    const key = `${from}:${to}`;
    let pieces = known.get(key);
    if (!pieces) {
      pieces = Array.from({ length: Math.ceil((to - from) / this.#chunkElements) }, (_, i) => {
        const start = from + i * this.#chunkElements;
        const part = vector.subarray(start, Math.min(to, start + this.#chunkElements));
        return hostTensor("float32", [part.length], part);
      });
      known.set(key, pieces);
    }
    return pieces;
  }

  /** Memory for a named result of at most a piece's size; the same at every call, whatever the length. */
  scratch(name: string, length: number): Vector {
    let memory = this.#scratch.get(name);
    if (!memory) this.#scratch.set(name, (memory = new Float32Array(this.#chunkElements)));
    return this.of(memory, 0, length)[0]!;
  }
}

/** Checks the length of a vector. @throws RangeError when it is not the expected one */
export function checkLength(what: string, vector: { readonly length: number }, expected: number): void {
  if (vector.length !== expected) {
    throw new RangeError(`Cannot use ${what}: ${vector.length} elements, expected ${expected}`);
  }
}
