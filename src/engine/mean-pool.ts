/** @file The mean of what a model makes of a prompt, after the final norm, of length 1: an embedding of the text. */
import { FailedError } from "../errors.ts";
import type { Head } from "../run/head.ts";
import type { HostTensor } from "../runtime/host-tensor.ts";
import type { PagedRows } from "./paged-cache.ts";

export class MeanPool {
  #sum = new Float64Array(0);

  /** Adds the rows of some positions, of which the first is number `from`; 0 begins anew. */
  add(rows: Float32Array, width: number, from: number): void {
    if (from === 0) this.#sum = new Float64Array(width);
    for (let i = 0; i < rows.length; i++) this.#sum[i % width]! += rows[i]!;
  }

  /** The mean, scaled to length 1. @throws FailedError "engine/nan" */
  get embedding(): Float32Array {
    const length = Math.hypot(...this.#sum);
    if (Number.isFinite(length) && length > 0) return Float32Array.from(this.#sum, (value) => value / length);
    throw new FailedError("engine/nan", "Cannot embed a text: what the model gave is not a number", {
      hint: "The weights of the model or of its adapter may be damaged.",
    });
  }
}

/** Adds the output y [B, T, D] of the last block to the means of those rows that have one. */
export async function addToMeans(
  head: Head,
  y: HostTensor<"float32">,
  { sequences, count }: PagedRows,
  pools: readonly (MeanPool | null)[],
): Promise<void> {
  if (pools.every((pool) => pool === null)) return;
  const width = y.shape[2] as number;
  const size = count * width;
  await head.withNormed(y, (normed) => {
    for (const [row, pool] of pools.entries()) {
      pool?.add(normed.subarray(row * size, (row + 1) * size), width, sequences[row]!.numComputed);
    }
  });
}
