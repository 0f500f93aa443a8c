/**
 * @file Positions of a pass as rows of its flattened activations [B·T, D]: gathers those that a head needs, and scatters results.
 */
import { sizeAt } from "../../graph/shape.ts";
import type { BufferPool } from "../../runtime/memory/buffer-pool.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";

/** Positions of a pass with something to predict. */
export interface LabelledPositions {
  /** Rows of the flattened activations [B·T, D]. */
  readonly indexes: Int32Array;
  /** The label of each. */
  readonly labels: Int32Array;
  /** Targets for the outputs of each, [N, V]; null: the labels are the targets. */
  readonly targets: Float32Array | null;
}

/** Copies rows of the flattened x [B, T, D] into [N, D], taken from the pool. */
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

/** The rows of the pass that contain positions of x [B, T, D]; x begins at row `firstRow` of the pass. */
export function rowsOf({ shape }: HostTensor, positions: Int32Array, firstRow: number): Int32Array {
  return positions.map((position) => firstRow + Math.floor(position / sizeAt(shape, 1)));
}

/** Splits positions into chunks. */
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

/** Writes negated numbers to `to`, beginning at `start`. */
export function negate(from: Float32Array, to: Float32Array, start: number): void {
  for (let i = 0; i < from.length; i++) to[start + i] = -from[i]!;
}
