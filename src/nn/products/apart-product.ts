/**
 * @file Products in 8-bit integers, except for a few columns in float32: for inputs with some channels far larger than the
 * others, which would have to share their scale.
 *
 *   y = (x ∘ m) Cᵀ + x[A] W[:, A]ᵀ     C = round(W), zero in the columns A     m = 0 in A, else 1
 *
 * A are the columns that are largest after W is divided by the smoothing factors, which make inputs and weights equally large in
 * each channel; the other columns are not smoothed (docs/log.md#many-rows-and-prompts). Paper: "LLM.int8()", arXiv:2208.07339,
 * which finds A anew in each product.
 */
import { cast } from "../../graph/ops/shapes/cast.ts";
import { add, mul } from "../../graph/ops/pointwise/elementwise.ts";
import { gatherColumns } from "../../graph/ops/rows/gather-columns.ts";
import { scatterAddRows } from "../../graph/ops/rows/gather-scatter.ts";
import { matmulInt8 } from "../../graph/ops/products/matmul-int8.ts";
import { matmul } from "../../graph/ops/products/matmul.ts";
import { transpose } from "../../graph/ops/shapes/transpose.ts";
import { transposed } from "../../linalg/transposed.ts";
import { hostTensor } from "../../runtime/host-tensor.ts";
import type { Matrix, Product, TensorReader } from "../compute.ts";
import { codeOperands, fillCodes } from "./int8-product.ts";
import { roleProduct } from "./role-product.ts";

const MASK = ".int8-mask";
const COLUMNS = ".int8-columns";
const ROWS = ".int8-rows";

/** One column in this many is kept apart. */
const APART_OF = 48;

/** Makes the product of a matrix with some columns kept apart. */
export function apartProduct(matrix: Matrix): Product {
  const { inFeatures, outFeatures } = matrix;
  const numApart = Math.ceil(inFeatures / APART_OF);
  return roleProduct({
    operands: {
      ...codeOperands(matrix),
      mask: { suffix: MASK, dtype: "float32", shape: [inFeatures] },
      columns: { suffix: COLUMNS, dtype: "int64", shape: [numApart] },
      rows: { suffix: ROWS, dtype: "float32", shape: [numApart, outFeatures] },
    },
    binding: "bound",
    // The factors only decide which columns are kept apart; inputs are not multiplied by them.
    unsmoothed: true,
    fill: async (reader, { mask, columns, rows, ...ofCodes }) => {
      const weights = await readColumns(matrix, reader);
      mask.data.fill(1);
      const divisors = new Float32Array(inFeatures).fill(1);
      for (const [i, k] of largestColumns(
        weights,
        reader.smoothing()?.data ?? divisors,
        numApart,
      ).entries()) {
        columns.data[i] = BigInt(k);
        rows.data.set(weights.subarray(k * outFeatures, (k + 1) * outFeatures), i * outFeatures);
        mask.data[k] = 0;
        divisors[k] = Number.POSITIVE_INFINITY;
      }
      const others = { ...reader, smoothing: () => hostTensor("float32", [inFeatures], divisors) };
      await fillCodes(matrix, others, ofCodes);
    },
    project: (x, { codes, scales, mask, columns, rows }) => {
      const most = matmulInt8(mul(x, mask), codes, scales);
      return add(most, matmul(gatherColumns(x, columns), rows));
    },
    dense: ({ codes, scales, columns, rows }) => {
      const most = mul(cast(codes, "float32"), scales);
      return transpose(add(most, scatterAddRows(rows, columns, most)), [1, 0]);
    },
  });
}

/** Reads the matrix as [in, out]. */
async function readColumns(
  { inFeatures, outFeatures, storedTransposed }: Matrix,
  reader: TensorReader,
): Promise<Float32Array> {
  const values = new Float32Array(inFeatures * outFeatures);
  await reader.readInto(values);
  return storedTransposed ? values : transposed(values, outFeatures, inFeatures);
}

/** Indices of the inputs of a matrix [in, out] whose largest entry, divided by their divisor, is largest. */
function largestColumns(weights: Float32Array, divisors: Float32Array, count: number): number[] {
  const width = weights.length / divisors.length;
  const largest = Float64Array.from(divisors, (divisor, k) => {
    let most = 0;
    for (let n = k * width; n < (k + 1) * width; n++) most = Math.max(most, Math.abs(weights[n]!));
    return most / divisor;
  });
  return [...largest.keys()].sort((a, b) => largest[b]! - largest[a]!).slice(0, count);
}
