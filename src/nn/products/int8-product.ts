/**
 * @file Products of activations in 8 bits with weights in 8 bits:
 *
 *   y = x Wᵀ     W[n, k] = s[n] c[n, k]     s[n] = max_k |W[n, k]| / 127
 *
 * Weights are rounded once, with a scale for each output; rows of activations and gradients in every product.
 */
import { transposeInto } from "../../linalg/transposed.ts";
import { cast } from "../../graph/ops/shapes/cast.ts";
import { mul } from "../../graph/ops/pointwise/elementwise.ts";
import { int8CrossEntropy } from "../../graph/ops/losses/int8-cross-entropy.ts";
import { INT8_LARGEST } from "../../graph/ops/products/int8-nodes.ts";
import { matmulInt8 } from "../../graph/ops/products/matmul-int8.ts";
import { reshape } from "../../graph/ops/shapes/reshape.ts";
import { transpose } from "../../graph/ops/shapes/transpose.ts";
import type { Matrix, Product, TensorReader } from "../compute.ts";
import { rowPieces } from "./matrix-rows.ts";
import { type RoleTensors, roleProduct } from "./role-product.ts";

/** Codes as [in, out]. */
const CODES = ".int8";
/** The same codes as [out, in], for the gradient. */
const BACK = ".int8-back";
/** Scales of the outputs, [out]. */
const SCALES = ".int8-scales";

/** Rounds a matrix to codes [out, in] and scales of its outputs. */
async function roundMatrix(
  matrix: Matrix,
  reader: TensorReader,
  back: Int8Array,
  scales: Float32Array,
): Promise<void> {
  const smoothing = reader.smoothing();
  // Multiplying is many times faster than dividing, with a relative error of 2^-24.
  const factors = smoothing && Float64Array.from(smoothing.data, (one) => 1 / one);
  for await (const { from, rows } of rowPieces(matrix, reader)) {
    const numRows = rows.length / matrix.inFeatures;
    roundRows(rows, factors, back.subarray(from * matrix.inFeatures), scales.subarray(from, from + numRows));
  }
}

/** Makes the product with codes in both layouts, which has gradients. */
export function int8Product(matrix: Matrix): Product {
  const { inFeatures, outFeatures } = matrix;
  return roleProduct({
    operands: {
      codes: { suffix: CODES, dtype: "int8", shape: [inFeatures, outFeatures] },
      back: { suffix: BACK, dtype: "int8", shape: [outFeatures, inFeatures] },
      scales: { suffix: SCALES, dtype: "float32", shape: [outFeatures] },
    },
    binding: "fed",
    fill: async (reader, { codes, back, scales }) => {
      await roundMatrix(matrix, reader, back.data, scales.data);
      transposeInto(back.data, codes.data, outFeatures, inFeatures);
    },
    project: (x, { codes, scales, back }) => matmulInt8(x, codes, scales, back),
    crossEntropy: int8CrossEntropy,
    dense: ({ back, scales }) => mul(cast(back, "float32"), reshape(scales, [outFeatures, 1])),
  });
}

/** The operands: codes [in, out] of a matrix, and scales of its outputs. */
export function codeOperands({ inFeatures, outFeatures }: Matrix) {
  return {
    codes: { suffix: CODES, dtype: "int8", shape: [inFeatures, outFeatures] },
    scales: { suffix: SCALES, dtype: "float32", shape: [outFeatures] },
  } as const;
}

/** Makes an int8 product without gradients, for programs that bind their weights; it needs only one layout of the codes. */
export function int8ForwardProduct(matrix: Matrix): Product {
  return roleProduct({
    operands: codeOperands(matrix),
    binding: "bound",
    fill: (reader, tensors) => fillCodes(matrix, reader, tensors),
    project: (x, { codes, scales }) => matmulInt8(x, codes, scales),
    dense: ({ codes, scales }) => transpose(mul(cast(codes, "float32"), scales), [1, 0]),
  });
}

/** Writes codes [in, out] and scales of outputs to the given memory. */
export async function fillCodes(
  matrix: Matrix,
  reader: TensorReader,
  { codes, scales }: RoleTensors<ReturnType<typeof codeOperands>>,
): Promise<void> {
  const rows = new Int8Array(codes.data.length);
  await roundMatrix(matrix, reader, rows, scales.data);
  transposeInto(rows, codes.data, matrix.outFeatures, matrix.inFeatures);
}

/**
 * Multiplies the columns of rows [out, in] by factors, and rounds the rows to codes and scales [out]. `Math.round` would take
 * five times as long as `floor`.
 */
function roundRows(
  rows: Float32Array,
  factors: Float64Array | null,
  codes: Int8Array,
  scales: Float32Array,
): void {
  const width = rows.length / scales.length;
  for (let n = 0; n < scales.length; n++) {
    const at = n * width;
    let largest = 0;
    for (let k = 0; k < width; k++) {
      if (factors) rows[at + k] = rows[at + k]! * factors[k]!;
      largest = Math.max(largest, Math.abs(rows[at + k]!));
    }
    const scale = Math.fround(largest / INT8_LARGEST) || 1;
    const steps = 1 / scale;
    scales[n] = scale;
    for (let k = 0; k < width; k++) codes[at + k] = Math.floor(rows[at + k]! * steps + 0.5);
  }
}
