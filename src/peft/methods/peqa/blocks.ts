/**
 * @file PEQA's product for writing text: codes in 4-bit blocks, which ONNX Runtime multiplies fast, bound once for all tasks, and
 * the scales of a task, which are fed.
 *
 *   W[i, j] = s f (c − 8) + s · offset        c: a code shifted to the middle of 4 bits   f: the group's factor, or 1
 *           = 16 s f (h − 8) + s f (l − 8) + s · offset     for 8-bit codes, with high half h and low half l
 */
import type { Value } from "../../../graph/graph.ts";
import { cast } from "../../../graph/ops/shapes/cast.ts";
import { concat } from "../../../graph/ops/shapes/concat.ts";
import { add, mul, sub } from "../../../graph/ops/pointwise/elementwise.ts";
import { BITS_BLOCK, blockSums, matmulBits } from "../../../graph/ops/products/matmul-bits.ts";
import { matmul } from "../../../graph/ops/products/matmul.ts";
import { reduceSum } from "../../../graph/ops/shapes/reduce-expand.ts";
import { reshape } from "../../../graph/ops/shapes/reshape.ts";
import { dimsOf, knownShape, sizeAt } from "../../../graph/shape.ts";
import type { SiteSpec } from "../../../models/graphs/sites.ts";
import type { AffineFormat } from "../../../quant/affine/affine.ts";
import { type HostTensor, hostTensor } from "../../../runtime/host-tensor.ts";
import type { SiteValues } from "../../sites/site.ts";
import { FACTOR, ZERO } from "./codes.ts";

export const BLOCKS = "peqa_blocks";

/** The code of zero in 4 bits. */
const MIDDLE = 8;
const HALF = 16;
/** Options of the product with blocks. */
const IN_FLOAT32 = { bits: 4, activations: "float32" } as const;

/** A weight [out, in] stored as codes. */
interface CodedWeight extends Pick<SiteSpec, "inFeatures" | "outFeatures"> {
  readonly format: AffineFormat;
}

/** How codes of a format are shifted to 4 bits. */
interface Shift {
  /** Added to a code, or to its high half. */
  readonly added: number;
  /** The offset of a group, in units of its scale, is f · offset − zero. */
  readonly offset: number;
}

/**
 * Shape of the blocks of a weight, for 8 bits with the low halves below the high ones; null: its groups do not consist of whole blocks.
 */
export function blocksShape({ inFeatures, outFeatures, format }: CodedWeight): number[] | null {
  if ((format.factor ?? format).groupSize % BITS_BLOCK !== 0) return null;
  const numRows = format.bits === 8 ? 2 * outFeatures : outFeatures;
  return [numRows, inFeatures / BITS_BLOCK, BITS_BLOCK / 2];
}

/** Makes blocks from packed codes [out, bytes]; a view if codes have 4 bits. */
export function toBlocks(codes: HostTensor, weight: CodedWeight): HostTensor {
  const { inFeatures, outFeatures, format } = weight;
  const shape = blocksShape(weight)!;
  const packed = codes.data as Uint8Array | Int8Array;
  const { bits } = format;
  if (bits === 4) return hostTensor("uint8", shape, packed as Uint8Array);
  const { added } = shiftOf(format);
  const blocks = new Uint8Array(sizeAt(shape, 0) * (inFeatures / 2));
  const put = (row: number, column: number, code: number): void => {
    const at = (row * inFeatures + column) >> 1;
    blocks[at]! |= column % 2 === 0 ? code : code << 4;
  };
  const rowBytes = packed.length / outFeatures;
  for (let row = 0; row < outFeatures; row++) {
    for (let column = 0; column < inFeatures; column++) {
      if (bits === 8) {
        const code = packed[row * rowBytes + column]! + biasOf(format);
        put(row, column, (code >> 4) + added);
        put(outFeatures + row, column, code & 15);
      } else {
        const bit = bits * column;
        const at = row * rowBytes + (bit >> 3);
        const word = packed[at]! | ((packed[at + 1] ?? 0) << 8);
        put(row, column, ((word >> (bit % 8)) & (2 ** bits - 1)) + added);
      }
    }
  }
  return hostTensor("uint8", shape, blocks);
}

/** Added to signed codes to make them nonnegative. */
const biasOf = ({ codes }: AffineFormat): number => (codes === "int8" ? 128 : 0);

function shiftOf(format: AffineFormat): Shift {
  const { bits, zero } = format;
  if (bits < 8) return { added: MIDDLE - 2 ** (bits - 1), offset: 2 ** (bits - 1) };
  const bias = biasOf(format);
  // Centred on the zero, if all groups share one, so that sums stay as small as those of the codes.
  const added = typeof zero === "number" ? MIDDLE - Math.round((zero + bias - MIDDLE) / HALF) : 0;
  return { added, offset: HALF * (MIDDLE - added) + MIDDLE - bias };
}

/** Whether each row has one scale, which can multiply the output instead. */
export function isOneScale({ inFeatures, format: { groupSize, factor } }: CodedWeight): boolean {
  return groupSize === inFeatures && factor === null;
}

/** Multiplies x [..., in] by the integers (code − zero) of rows with one scale: [..., out], the same for all tasks. */
export function projectSteps(x: Value, values: SiteValues, weight: CodedWeight): Value {
  const { outFeatures, inFeatures, format } = weight;
  const { [BLOCKS]: blocks, [ZERO]: zeros } = values;
  const y = product(x, blocks!, onesOf(x, outFeatures, inFeatures / BITS_BLOCK), weight);
  const offset = offsetOf(x, zeros, undefined, format);
  return offset ? add(y, mul(blockSums(x, inFeatures), flat(offset))) : y;
}

/** Multiplies x [..., in] by the weight with scales [out, groups]: [..., out]; `values`: the blocks and the other frozen tensors. */
export function projectBlocks(x: Value, scale: Value, values: SiteValues, weight: CodedWeight): Value {
  const { outFeatures, format } = weight;
  const { factor, groupSize } = format;
  if (isOneScale(weight)) return mul(projectSteps(x, values, weight), reshape(scale, [outFeatures]));
  const { [BLOCKS]: blocks, [FACTOR]: factors, [ZERO]: zeros } = values;
  const offset = offsetOf(x, zeros, factors, format);
  const size = factor?.groupSize ?? groupSize;
  const inFactors = repeated(scale, groupSize / size);
  const steps = factors ? mul(inFactors, cast(factors, "float32")) : inFactors;
  const y = product(x, blocks!, repeated(steps, size / BITS_BLOCK), weight);
  return offset ? add(y, matmul(blockSums(x, size), mul(inFactors, offset), { transB: true })) : y;
}

/** Repeats each column of [rows, columns], copies side by side. */
function repeated(value: Value, times: number): Value {
  if (times === 1) return value;
  const [numRows, numColumns] = dimsOf(knownShape(value.shape), 2);
  const spread = mul(reshape(value, [numRows, numColumns, 1]), onesOf(value, 1, times));
  return reshape(spread, [numRows, numColumns * times]);
}

/** Flattens to a number, or one for each output. */
function flat(value: Value): Value {
  return value.shape.length === 0 ? value : reshape(value, [sizeAt(value.shape, 0)]);
}

/** Multiplies by codes around the middle with scales [out, blocks]. */
function product(x: Value, blocks: Value, scales: Value, { outFeatures, format }: CodedWeight): Value {
  if (format.bits < 8) return matmulBits(x, { codes: blocks, scales }, IN_FLOAT32);
  const both = concat([mul(scales, x.graph.scalar(HALF)), scales], 0);
  const halves = matmulBits(x, { codes: blocks, scales: both }, IN_FLOAT32);
  const lead = x.shape.slice(0, -1);
  const summed = reduceSum(reshape(halves, [...lead, 2, outFeatures]), [lead.length]);
  return reshape(summed, [...lead, outFeatures]);
}

/** Builds the offset to add to a weight, in units of scales: one for all groups, or [out, groups of a zero]; null: none. */
function offsetOf(
  { graph }: Value,
  zeros: Value | undefined,
  factors: Value | undefined,
  format: AffineFormat,
): Value | null {
  const { offset } = shiftOf(format);
  const { zero } = format;
  if (!factors && typeof zero === "number") return offset === zero ? null : graph.scalar(offset - zero);
  const whole = graph.scalar(offset);
  const moved = factors ? mul(cast(factors, "float32"), whole) : whole;
  if (zero === 0) return moved;
  return sub(moved, typeof zero === "number" ? graph.scalar(zero) : cast(zeros!, "float32"));
}

/** A matrix of ones, which ONNX Runtime computes when the program is compiled. */
export function onesOf({ graph }: Value, numRows: number, numColumns: number): Value {
  const ones = (shape: number[]): Value =>
    graph.constant("float32", shape, new Float32Array(Math.max(...shape)).fill(1));
  return numRows === 1 ? ones([1, numColumns]) : mul(ones([numRows, 1]), ones([1, numColumns]));
}
