/**
 * @file Reads the rows of a matrix in float32, some at a time: whole matrices would leave garbage that adds up while a model is rounded.
 */
import type { DataOf } from "../../graph/dtype.ts";
import type { Matrix, TensorReader } from "../compute.ts";

/** Numbers that are in float32 at the same time. */
const PIECE_LENGTH = 1 << 16;

/** Consecutive rows of a matrix [out, in]. */
interface RowPiece {
  /** Index of the first row. */
  readonly from: number;
  /** Valid until the next piece, which overwrites it. */
  readonly rows: DataOf<"float32">;
}

/** Reads a matrix from its first row to its last. @throws as the reader */
export async function* rowPieces(
  { inFeatures, outFeatures, storedTransposed }: Matrix,
  reader: TensorReader,
): AsyncGenerator<RowPiece, void, void> {
  const numAtOnce = Math.min(outFeatures, Math.ceil(PIECE_LENGTH / inFeatures));
  const memory = new Float32Array(numAtOnce * inFeatures);
  // A transposed matrix is read whole, as the inputs of an output are not contiguous in the file.
  const turned = storedTransposed ? new Float32Array(inFeatures * outFeatures) : null;
  if (turned) await reader.readInto(turned);
  for (let from = 0; from < outFeatures; from += numAtOnce) {
    const rows = memory.subarray(0, Math.min(numAtOnce, outFeatures - from) * inFeatures);
    if (turned) takeColumns(turned, outFeatures, from, rows);
    else await reader.readInto(rows, from * inFeatures);
    yield { from, rows };
  }
}

/** Copies columns of a matrix [height, width], from column `from` on, into rows. */
function takeColumns(matrix: Float32Array, width: number, from: number, rows: Float32Array): void {
  const height = matrix.length / width;
  const numColumns = rows.length / height;
  for (let k = 0; k < height; k++) {
    const at = k * width + from;
    for (let n = 0; n < numColumns; n++) rows[n * height + k] = matrix[at + n]!;
  }
}
