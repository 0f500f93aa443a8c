/** @file A long vector in parts, each in memory of its own, so that not all of it need be in memory at once. */
import { type MemorySpec, type VectorMemory, whileHeld } from "./vector-memory.ts";

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
  /** The parts, and where each begins and ends in the vector. */
  readonly #parts: readonly { readonly part: Float32Array; readonly start: number; readonly end: number }[];

  /**
   * Makes a vector of zeros. `name` and `usesPerStep` are those of `MemorySpec`; `ends`: where each part ends, by default parts
   * of equal size.
   */
  constructor(
    memory: VectorMemory,
    spec: Pick<MemorySpec, "name" | "usesPerStep">,
    length: number,
    ends: readonly number[] = evenEnds(length, PART_ELEMENTS),
  ) {
    this.length = length;
    this.memory = memory;
    this.#parts = ends.map((end, i) => {
      const start = ends[i - 1] ?? 0;
      const sizeBytes = (end - start) * Float32Array.BYTES_PER_ELEMENT;
      const part = memory.make({ ...spec, sizeBytes }, (buffer) => new Float32Array(buffer, 0, end - start));
      return { part, start, end };
    });
  }

  /** The memory of all parts. */
  get parts(): readonly Float32Array[] {
    return this.#parts.map(({ part }) => part);
  }

  /** Splits a range of elements into stretches that each lie in one part. */
  stretches(from = 0, to = this.length): PartStretch[] {
    return this.#parts.flatMap((each): PartStretch[] => {
      const { part, start } = each;
      const stretch = { part, start, from: Math.max(from, start), to: Math.min(to, each.end) };
      return stretch.from < stretch.to ? [stretch] : [];
    });
  }

  /** Visits the elements of a range in views that are valid during the visit; `at`: where a view begins in the vector. */
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

  /** Copies the elements from `from` up to `to`; default: all. */
  async read(from = 0, to = this.length): Promise<Float32Array<ArrayBuffer>> {
    const values = new Float32Array(to - from);
    await this.visit(from, to, "read", (view, at) => values.set(view, at - from));
    return values;
  }

  /** Sets all elements. */
  async write(values: Float32Array): Promise<void> {
    await this.visit(0, this.length, "change", (view, at) => view.set(values.subarray(at, at + view.length)));
  }
}

/** The ends of parts of one size, the last of which may be shorter. */
export function evenEnds(length: number, partElements: number): number[] {
  return Array.from({ length: Math.ceil(length / partElements) }, (_, i) =>
    Math.min(length, (i + 1) * partElements),
  );
}
