/**
 * @file Products of 8-bit activations with weights in blocks of 4 or 8 bits; for one row at a time.
 *
 *   y = x Wᵀ     W[n, k] = s[n, g] (c[n, k] − middle) + o[n, g]     g = ⌊k / size⌋
 *
 * A matrix stored in such blocks is used unchanged; any other is rounded to such a kind.
 */
import { matmulBits, weightOfBits } from "../../graph/ops/products/matmul-bits.ts";
import { quantizeTo } from "../../quant/stored-tensor.ts";
import type { StorageName } from "../../quant/storages.ts";
import {
  type BlockForm,
  type BlockMemory,
  blockFormOf,
  blockPlanes,
  readBlocks,
} from "../../quant/uniform-blocks.ts";
import type { Matrix, Product, TensorReader } from "../compute.ts";
import { rowPieces } from "./matrix-rows.ts";
import { roleProduct } from "./role-product.ts";

const CODES = ".codes";
const SCALES = ".scales";
const OFFSETS = ".offsets";

/** Which matrices are used as stored, and how the others are rounded. */
interface BlockRule {
  readonly takes: (form: BlockForm) => boolean;
  /** The storage kind to which others are rounded. */
  readonly rounded: StorageName;
}

/** Makes the product of a matrix in blocks; null: its rows are not whole blocks. */
export function blockProduct(matrix: Matrix, storage: StorageName, rule: BlockRule): Product | null {
  const own = matrix.storedTransposed ? null : blockFormOf(storage);
  const form = own && rule.takes(own) ? own : null;
  const { bits, size, hasOffsets } = form ?? blockFormOf(rule.rounded)!;
  const { inFeatures, outFeatures } = matrix;
  if (inFeatures % size !== 0) return null;
  const perBlock = [outFeatures, inFeatures / size];
  return roleProduct({
    operands: {
      codes: { suffix: `${CODES}${bits}`, dtype: "uint8", shape: [...perBlock, (size * bits) / 8] },
      scales: { suffix: SCALES + size, dtype: "float32", shape: perBlock },
      ...(hasOffsets && { offsets: { suffix: OFFSETS + size, dtype: "float32", shape: perBlock } }),
    },
    binding: "bound",
    keptAs: form ? "blocks" : rule.rounded,
    // Each block of the input gets a scale of its own.
    unsmoothed: true,
    fill: async (reader, { codes, scales, offsets }) => {
      const blocks = { codes: codes.data, scales: scales.data, offsets: offsets?.data ?? null };
      if (form) readBlocks(await reader.stored(blockPlanes(storage, blocks)), blocks);
      else await roundInto(blocks, rule.rounded, matrix, reader);
    },
    project: (x, blocks) => matmulBits(x, blocks, { bits, activations: "int8" }),
    dense: (blocks) => weightOfBits(blocks, bits),
  });
}

/** Rounds a matrix, some rows at a time. */
async function roundInto(
  { codes, scales, offsets }: BlockMemory,
  kind: StorageName,
  matrix: Matrix,
  reader: TensorReader,
): Promise<void> {
  const { inFeatures, outFeatures } = matrix;
  for await (const { from, rows } of rowPieces(matrix, reader)) {
    const numRows = rows.length / inFeatures;
    const ofRows = <A extends Uint8Array | Float32Array>(whole: A): A => {
      const perRow = whole.length / outFeatures;
      return whole.subarray(from * perRow, (from + numRows) * perRow) as A;
    };
    readBlocks(quantizeTo(kind, rows, [numRows, inFeatures]), {
      codes: ofRows(codes),
      scales: ofRows(scales),
      offsets: offsets && ofRows(offsets),
    });
  }
}
