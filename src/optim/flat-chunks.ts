/**
 * @file Cuts flat vectors into pieces that fit the processor's caches, for programs whose symbolic size is "P".
 *
 * The pieces of a vector are views, made once and remembered, so a steady loop allocates nothing.
 */
import type { HostTensor } from "../runtime/host-tensor.ts";
import { hostTensor, zeros } from "../runtime/host-tensor.ts";

/** Elements of a piece: 256 KiB a vector, so the vectors of an update lie in the caches while they are used. */
export const CHUNK_ELEMENTS = 65_536;

type Vector = HostTensor<"float32">;

/** Remembers the pieces of vectors. */
export class FlatChunks {
  readonly #chunkElements: number;
  readonly #pieces = new WeakMap<Float32Array, readonly Vector[]>();
  readonly #scratch = new Map<string, Vector>();

  constructor(chunkElements: number = CHUNK_ELEMENTS) {
    this.#chunkElements = chunkElements;
  }

  /** The pieces of a vector, in order: views into it. */
  of(vector: Float32Array): readonly Vector[] {
    let pieces = this.#pieces.get(vector);
    if (!pieces) {
      const count = Math.ceil(vector.length / this.#chunkElements);
      pieces = Array.from({ length: count }, (_, i) => {
        const part = vector.subarray(i * this.#chunkElements, (i + 1) * this.#chunkElements);
        return hostTensor("float32", [part.length], part);
      });
      this.#pieces.set(vector, pieces);
    }
    return pieces;
  }

  /** Memory of a piece's size to write a named result into; the same at every call. */
  scratch(name: string, length: number): Vector {
    const key = `${name}/${length}`;
    let made = this.#scratch.get(key);
    if (!made) {
      made = zeros("float32", [length]);
      this.#scratch.set(key, made);
    }
    return made;
  }
}

/** States that two vectors are of one length. @throws RangeError when they are not. */
export function checkLength(what: string, vector: Float32Array, expected: number): void {
  if (vector.length !== expected) {
    throw new RangeError(`Cannot use ${what}: ${vector.length} elements, expected ${expected}`);
  }
}
