/**
 * @file Products with weights in blocks of 4 or 8 bits, of activations in 8 bits: for one row at a time.
 *
 *   y = x Wᵀ     W[n, k] = s[n, g] (c[n, k] − middle) + o[n, g]     g = ⌊k / size⌋
 *
 * A matrix that is kept in such blocks is taken as it is; any other is rounded to a kind that is.
 */
import type { Value } from "../../graph/graph.ts";
import { matmulBits, weightOfBits } from "../../graph/ops/products/matmul-bits.ts";
import { transposed } from "../../linalg/transposed.ts";
import { type StoredTensor, quantizeTo } from "../../quant/stored-tensor.ts";
import type { StorageName } from "../../quant/storages.ts";
import { type BlockForm, blockFormOf, blockPlanes, readBlocks } from "../../quant/uniform-blocks.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import type { Matrix, OperandSpec, Product, TensorReader } from "../compute.ts";

const CODES = ".codes";
const SCALES = ".scales";
const OFFSETS = ".offsets";

/** Which matrices are taken as they are stored, and to what the others are rounded. */
interface BlockRule {
  readonly takes: (form: BlockForm) => boolean;
  /** The kind to which others are rounded. */
  readonly rounded: StorageName;
}

/** The product of a matrix in blocks; null: its rows do not fill any. */
export function blockProduct(matrix: Matrix, storage: StorageName, rule: BlockRule): Product | null {
  const own = matrix.storedTransposed ? null : blockFormOf(storage);
  const form = own && rule.takes(own) ? own : null;
  const { bits, size, hasOffsets } = form ?? blockFormOf(rule.rounded)!;
  const { inFeatures, outFeatures } = matrix;
  if (inFeatures % size !== 0) return null;
  const perBlock = [outFeatures, inFeatures / size];
  const suffixes = { codes: `${CODES}${bits}`, scales: SCALES + size, offsets: OFFSETS + size };
  const operands: OperandSpec[] = [
    { suffix: suffixes.codes, dtype: "uint8", shape: [...perBlock, (size * bits) / 8] },
    { suffix: suffixes.scales, dtype: "float32", shape: perBlock },
    ...(hasOffsets ? [{ suffix: suffixes.offsets, dtype: "float32" as const, shape: perBlock }] : []),
  ];
  return {
    operands,
    binding: "bound",
    keptAs: form ? "blocks" : rule.rounded,
    // Each block of the input gets a scale of its own.
    unsmoothed: true,
    prepare: async (reader, memory) => {
      const codes = memory(suffixes.codes) as HostTensor<"uint8">;
      const scales = memory(suffixes.scales) as HostTensor<"float32">;
      const offsets = hasOffsets ? (memory(suffixes.offsets) as HostTensor<"float32">) : null;
      const blocks = { codes: codes.data, scales: scales.data, offsets: offsets && offsets.data };
      const stored = form
        ? await reader.stored(blockPlanes(storage, blocks))
        : await roundedTo(rule.rounded, matrix, reader);
      readBlocks(stored, blocks);
      const made: Record<string, HostTensor> = { [suffixes.codes]: codes, [suffixes.scales]: scales };
      return offsets ? { ...made, [suffixes.offsets]: offsets } : made;
    },
    project: (x, values) => {
      const [codes, scales, offsets] = operands.map(({ suffix }) => values[suffix] as Value);
      return matmulBits(x, codes!, scales!, { bits, activations: "int8" }, offsets);
    },
    dense: (values) => {
      const [codes, scales, offsets] = operands.map(({ suffix }) => values[suffix] as Value);
      return weightOfBits(codes!, scales!, bits, offsets);
    },
  };
}

/** The matrix [out, in] rounded. */
async function roundedTo(
  kind: StorageName,
  { inFeatures, outFeatures, storedTransposed }: Matrix,
  reader: TensorReader,
): Promise<StoredTensor> {
  const values = new Float32Array(outFeatures * inFeatures);
  await reader.readInto(values);
  const rows = storedTransposed ? transposed(values, inFeatures, outFeatures) : values;
  return quantizeTo(kind, rows, [outFeatures, inFeatures]);
}
