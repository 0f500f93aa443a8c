/**
 * @file Keeps host memory for reuse: what was released is handed out again before anything is allocated.
 *
 * Buffers are kept by element type and exact number of elements; programs of one shape ask for the same ones each step.
 */
import type { DType } from "../graph/dtype.ts";
import { type HostTensor, numElements, zeros } from "./host-tensor.ts";

export class BufferPool {
  readonly #free = new Map<string, HostTensor[]>();
  #allocatedBytes = 0;

  /** Bytes of all buffers that the pool has ever made and not dropped. */
  get allocatedBytes(): number {
    return this.#allocatedBytes;
  }

  /** Lends a tensor; its contents are undefined. The borrower gives it back with `release`. */
  acquire<D extends DType>(dtype: D, shape: readonly number[]): HostTensor<D> {
    const kept = this.#free.get(key(dtype, shape))?.pop() as HostTensor<D> | undefined;
    if (kept) return kept;
    const made = zeros(dtype, shape);
    this.#allocatedBytes += made.data.byteLength;
    return made;
  }

  /** Takes tensors back. */
  release(...tensors: readonly HostTensor[]): void {
    for (const tensor of tensors) {
      const name = key(tensor.dtype, tensor.shape);
      const kept = this.#free.get(name);
      if (kept) kept.push(tensor);
      else this.#free.set(name, [tensor]);
    }
  }

  /** Drops everything that is not lent. */
  clear(): void {
    for (const kept of this.#free.values()) {
      for (const { shape, data } of kept) this.#allocatedBytes -= numElements(shape) && data.byteLength;
    }
    this.#free.clear();
  }
}

function key(dtype: DType, shape: readonly number[]): string {
  return `${dtype}[${shape.join(",")}]`;
}
