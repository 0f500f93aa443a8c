/**
 * @file A long vector in parts, each in memory of its own, so that not all of it need be there at once.
 */
import { type VectorMemory, whileHeld } from "./vector-memory.ts";

/** Elements of a part: 4 MB. */
export const PART_ELEMENTS = 1 << 20;

/** A stretch of a vector that lies in one part. */
export interface PartStretch {
  readonly part: Float32Array;
  /** Where the part begins in the vector. */
  readonly start: number;
  /** The stretch, in the vector. */
  readonly from: number;
  readonly to: number;
}

export class PartedVector {
  readonly length: number;
  readonly memory: VectorMemory;
  readonly #parts: readonly Float32Array[];
  readonly #partElements: number;

  /** Makes a vector of zeros; `name`: for messages. */
  constructor(memory: VectorMemory, name: string, length: number, partElements: number = PART_ELEMENTS) {
    this.length = length;
    this.memory = memory;
    this.#partElements = partElements;
    this.#parts = Array.from({ length: Math.ceil(length / partElements) }, (_, i) => {
      const size = Math.min(partElements, length - i * partElements);
      const sizeBytes = size * Float32Array.BYTES_PER_ELEMENT;
      return memory.make({ name, sizeBytes }, (buffer) => new Float32Array(buffer, 0, size));
    });
  }

  /** Cuts the elements from one up to another by the parts in which they lie. */
  stretches(from = 0, to = this.length): PartStretch[] {
    const size = this.#partElements;
    return this.#parts.flatMap((part, i): PartStretch[] => {
      const [start, end] = [Math.max(from, i * size), Math.min(to, (i + 1) * size)];
      return start < end ? [{ part, start: i * size, from: start, to: end }] : [];
    });
  }

  /** Visits elements from one up to another, views valid during the visit; `at`: where a view begins in the vector. */
  async visit(
    from: number,
    to: number,
    use: "read" | "change",
    work: (view: Float32Array, at: number) => void | Promise<void>,
  ): Promise<void> {
    for (const stretch of this.stretches(from, to)) {
      const { part, start } = stretch;
      await whileHeld(this.memory, [part], use, () =>
        work(part.subarray(stretch.from - start, stretch.to - start), stretch.from),
      );
    }
  }

  /** Copies the vector out, to be looked at. */
  async read(): Promise<Float32Array> {
    const values = new Float32Array(this.length);
    await this.visit(0, this.length, "read", (view, at) => values.set(view, at));
    return values;
  }

  /** Sets all elements. */
  async write(values: Float32Array): Promise<void> {
    await this.visit(0, this.length, "change", (view, at) => view.set(values.subarray(at, at + view.length)));
  }
}
