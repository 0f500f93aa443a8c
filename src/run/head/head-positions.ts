/** @file Positions of a pass, as rows of its flattened activations [B·T, D]: those that a head needs, and where they come from. */
import { sizeAt } from "../../graph/shape.ts";
import type { BufferPool } from "../../runtime/memory/buffer-pool.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";

/** Positions of a pass that have something to predict. */
export interface LabelledPositions {
  /** Rows of the flattened activations [B·T, D]. */
  readonly indexes: Int32Array;
  /** What each has to predict. */
  readonly labels: Int32Array;
  /** What their outputs are to be, [N, V]; null: the labels say it. */
  readonly targets: Float32Array | null;
}

/** Rows of the flattened x [B, T, D], [N, D]; lent from the pool. */
export function gatherPositions(
  x: HostTensor<"float32">,
  indexes: Int32Array,
  pool: BufferPool,
): HostTensor<"float32"> {
  const width = sizeAt(x.shape, -1);
  const hidden = pool.acquire("float32", [indexes.length, width]);
  for (let i = 0; i < indexes.length; i++) {
    hidden.data.set(x.data.subarray(indexes[i]! * width, (indexes[i]! + 1) * width), i * width);
  }
  return hidden;
}

/** Writes rows [N, D] to their places in the flattened form of `into` [B, T, D]. */
export function scatterPositions(
  rows: HostTensor<"float32">,
  indexes: Int32Array,
  into: HostTensor<"float32">,
): void {
  const width = sizeAt(rows.shape, 1);
  for (let i = 0; i < indexes.length; i++) {
    into.data.set(rows.data.subarray(i * width, (i + 1) * width), indexes[i]! * width);
  }
}

/** The rows of a pass that positions of x [B, T, D] are in, of which the first of x is `firstRow`. */
export function rowsOf({ shape }: HostTensor, positions: Int32Array, firstRow: number): Int32Array {
  return positions.map((position) => firstRow + Math.floor(position / sizeAt(shape, 1)));
}

/** Cuts them into chunks of a length. */
export function chunksOf(
  { indexes, labels, targets }: LabelledPositions,
  length: number,
): LabelledPositions[] {
  const width = (targets?.length ?? 0) / indexes.length;
  return Array.from({ length: Math.ceil(indexes.length / length) }, (_, i) => ({
    indexes: indexes.subarray(i * length, (i + 1) * length),
    labels: labels.subarray(i * length, (i + 1) * length),
    targets: targets?.subarray(i * length * width, (i + 1) * length * width) ?? null,
  }));
}

/** Writes numbers of positions with the other sign, from a place on. */
export function negate(from: Float32Array, to: Float32Array, start: number): void {
  for (let i = 0; i < from.length; i++) to[start + i] = -from[i]!;
}
