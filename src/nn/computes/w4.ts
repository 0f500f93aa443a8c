/**
 * @file Products with 4-bit weights in blocks of 32, of activations in 8 bits: for one row at a time.
 *
 *   y = x Wᵀ     W[n, k] = s[n, g] (c[n, k] − 8) + o[n, g]     g = ⌊k/32⌋
 *     = (product with codes) + (sums of blocks of x) oᵀ
 *
 * A matrix that is kept in 4-bit blocks of 32 is taken as it is, one with a minimum in each block by the offsets o; any other
 * is rounded as ggml's simplest kind rounds. A router stays in float32: it chooses, so that a small error is a large one.
 */
import type { Value } from "../../graph/graph.ts";
import { add } from "../../graph/ops/elementwise.ts";
import { BITS4_BLOCK, blockSums, matmulBits4, weightOfBits4 } from "../../graph/ops/matmul-bits4.ts";
import { matmul } from "../../graph/ops/matmul.ts";
import { reshape } from "../../graph/ops/reshape.ts";
import { transposed } from "../../linalg/transposed.ts";
import type { AffineKind, AffineWeight } from "../../quant/affine.ts";
import type { Storage } from "../../quant/storage.ts";
import { type StoredTensor, quantizeTo } from "../../quant/stored-tensor.ts";
import { type StorageName, STORAGES } from "../../quant/storages.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import type { Compute, Matrix, OperandSpec, OperandValues, Product, TensorReader } from "../compute.ts";

/** The code of zero where a block has no offset. */
const MIDDLE = 8;
/** The kind to which other matrices are rounded. */
const ROUNDED = "q4_0";

const CODES = ".codes";
const SCALES = ".scales";
const OFFSETS = ".offsets";

export const w4: Compute = {
  name: "w4",
  summary:
    "4-bit weights in blocks of 32 and 8-bit activations, for writing text: weights that are kept so stay exact, others are rounded.",
  product: (matrix, storage) =>
    matrix.inFeatures % BITS4_BLOCK === 0 && matrix.role !== "router" ? blockProduct(matrix, storage) : null,
};

function blockProduct(matrix: Matrix, storage: StorageName): Product {
  const { inFeatures, outFeatures } = matrix;
  const own = blocksOf(matrix, STORAGES[storage]);
  const kind = own ?? (STORAGES[ROUNDED].affine as AffineKind);
  const hasOffsets = kind.format.zero !== MIDDLE;
  const perBlock = [outFeatures, inFeatures / BITS4_BLOCK];
  const operands: OperandSpec[] = [
    { suffix: CODES, dtype: "uint8", shape: [...perBlock, BITS4_BLOCK / 2] },
    { suffix: SCALES, dtype: "float32", shape: perBlock },
    ...(hasOffsets ? [{ suffix: OFFSETS, dtype: "float32" as const, shape: perBlock }] : []),
  ];
  return {
    operands,
    binding: "bound",
    prepare: async (reader, memory) => {
      const stored = own ? await reader.stored() : await rounded(matrix, reader);
      const weight = kind.read(stored.planes);
      const codes = memory(CODES) as HostTensor<"uint8">;
      const scales = memory(SCALES) as HostTensor<"float32">;
      codes.data.set(weight.codes.data);
      scales.data.set(weight.scale.data);
      if (!hasOffsets) return { [CODES]: codes, [SCALES]: scales };
      const offsets = memory(OFFSETS) as HostTensor<"float32">;
      fillOffsets(weight, kind.format.zero, offsets.data);
      return { [CODES]: codes, [SCALES]: scales, [OFFSETS]: offsets };
    },
    project: (x, { [CODES]: codes, [SCALES]: scales, [OFFSETS]: offsets }) => {
      const y = matmulBits4(x, codes as Value, scales as Value, "int8");
      return offsets ? add(y, matmul(blockSums(x, BITS4_BLOCK), offsets, { transB: true })) : y;
    },
    dense: (values) => dense(matrix, values),
  };
}

/** How a matrix's own 4-bit blocks are read; null: it is kept in another way, or its blocks lie across outputs. */
function blocksOf({ storedTransposed }: Matrix, { affine }: Storage): AffineKind | null {
  if (storedTransposed || affine === "not-affine") return null;
  const { bits, groupSize, codes } = affine.format;
  return bits === 4 && groupSize === BITS4_BLOCK && codes === "uint8" ? affine : null;
}

/** The matrix [out, in] rounded to blocks around zero. */
async function rounded(
  { inFeatures, outFeatures, storedTransposed }: Matrix,
  reader: TensorReader,
): Promise<StoredTensor> {
  const values = new Float32Array(outFeatures * inFeatures);
  await reader.readInto(values);
  const rows = storedTransposed ? transposed(values, inFeatures, outFeatures) : values;
  return quantizeTo(ROUNDED, rows, [outFeatures, inFeatures]);
}

/** Value of code 8 in each block: what is added to the symmetric product. */
function fillOffsets({ scale, zero }: AffineWeight, common: number | string, into: Float32Array): void {
  for (let block = 0; block < into.length; block++) {
    const origin = typeof common === "number" ? common : (zero?.data[block] as number);
    into[block] = (MIDDLE - origin) * scale.data[block]!;
  }
}

function dense(
  { inFeatures, outFeatures }: Matrix,
  { [CODES]: codes, [SCALES]: scales, [OFFSETS]: offsets }: OperandValues,
): Value {
  const weight = weightOfBits4(codes as Value, scales as Value);
  if (!offsets) return weight;
  const numBlocks = inFeatures / BITS4_BLOCK;
  const blocks = reshape(weight, [outFeatures, numBlocks, BITS4_BLOCK]);
  return reshape(add(blocks, reshape(offsets, [outFeatures, numBlocks, 1])), [outFeatures, inFeatures]);
}
