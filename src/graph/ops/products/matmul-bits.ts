/**
 * @file Product with a matrix of codes of 4 or 8 bits in blocks that share a scale.
 *
 *   y[.., n] = Σ_k x[.., k] W[n, k]     W[n, k] = scale[n, g] (code[n, k] − middle) + offset[n, g]
 *   g = ⌊k / size⌋     middle = 2^(bits − 1)
 *
 * Offsets, if any, multiply the sums of blocks of x. Codes of 4 bits lie two to a byte, the even one in the low half. With `activations`
 * "int8" each block of x is rounded to 8 bits with a scale of its own, which is several times faster for one row; the gradient treats
 * the rounding as the identity. Codes must be constants of the program: fed, they are a hundred times slower. Scales may be fed.
 */
import { FLOAT_BYTES } from "../../dtype.ts";
import type { Emitter } from "../../emitter.ts";
import { applyOne, type Op, type Value } from "../../graph.ts";
import { evaluateSize, sameShape, showShape, sizeAt } from "../../shape.ts";
import { cast } from "../shapes/cast.ts";
import { add, mul, sub } from "../pointwise/elementwise.ts";
import { flattenRows, matmul } from "./matmul.ts";
import { reduceSum } from "../shapes/reduce-expand.ts";
import { reshape } from "../shapes/reshape.ts";
import { unpackCodes } from "./unpack-codes.ts";

/** Columns that share a scale, by default. */
export const BITS_BLOCK = 32;
/** The smallest block that ONNX Runtime accepts. */
const LEAST_BLOCK = 16;
/** Accuracy levels of ONNX Runtime's operator: how x is rounded before it is multiplied. */
const ACCURACY = { float32: 1, int8: 4 } as const;

/** Bits of a code. */
type BlockBits = 4 | 8;

/** How codes are stored, and the type in which they are multiplied. */
interface MatmulBitsOptions {
  readonly bits: BlockBits;
  readonly activations: keyof typeof ACCURACY;
}

type BitsAttributes = Readonly<Record<string, unknown>> & MatmulBitsOptions;

/** The offsets, if any, are the last. */
type Inputs =
  | readonly [x: Value, codes: Value, scales: Value]
  | readonly [x: Value, codes: Value, scales: Value, offsets: Value];

/** The code of zero. */
function middleOf(bits: BlockBits): number {
  return 2 ** (bits - 1);
}

export const matmulBitsOp: Op<BitsAttributes, Inputs> = {
  name: "matmulBits",
  infer: ([x, codes, scales, offsets = scales], { bits }) => {
    if (x.dtype !== "float32" || codes.dtype !== "uint8" || scales.dtype !== "float32") {
      throw new TypeError(
        `Cannot multiply ${x.dtype} by codes ${codes.dtype} with scales ${scales.dtype}: expected float32, uint8 and float32`,
      );
    }
    const [numRows, numBlocks, size] = codes.shape.length === 3 ? codeShape(codes, bits) : [0, 0, 0];
    const isWhole = size >= LEAST_BLOCK && Number.isInteger(Math.log2(size));
    if (!isWhole || x.shape.length < 2 || x.shape.at(-1) !== numBlocks * size) {
      throw new RangeError(
        `Cannot multiply ${showShape(x.shape)} by codes ${showShape(codes.shape)} of ${bits} bits: expected [out, blocks, bytes of a block]`,
      );
    }
    const perBlock = [numRows, numBlocks];
    if (
      !sameShape(scales.shape, perBlock) ||
      !sameShape(offsets.shape, perBlock) ||
      offsets.dtype !== scales.dtype
    ) {
      throw new RangeError(
        `Cannot multiply by codes ${showShape(codes.shape)} with scales ${showShape(scales.shape)}: expected one a block`,
      );
    }
    return [{ dtype: "float32", shape: [...x.shape.slice(0, -1), numRows] }];
  },
  // Codes and scales, and the sum of each block.
  packedBytes: ({ inputs: [, codes, scales] }) =>
    evaluateSize(codes.shape, {}) + 2 * FLOAT_BYTES * evaluateSize(scales.shape, {}),
  // However x is rounded, many rows are multiplied about as fast as in float32: docs/log.md#costs-of-single-operators.
  multiplications: ({ inputs: [x], outputs: [y] }, bindings) => ({
    kind: "float32",
    count: evaluateSize(y.shape, bindings) * sizeAt(x.shape, -1),
  }),
  emit: (node, emitter) => {
    const { bits, activations } = node.attributes;
    const [input, matrix] = node.inputs;
    const [numRows, numBlocks, size] = codeShape(matrix, bits);
    const [x, codes, scales, offsets] = emitter.names(node.inputs);
    const [output] = emitter.names(node.outputs);
    const accuracy = { accuracy_level: ACCURACY[activations] };
    const attributes = { K: numBlocks * size, N: numRows, bits, block_size: size, ...accuracy };
    const y = offsets === undefined ? output : emitter.temporary();
    emitter.node("com.microsoft.MatMulNBits", [x, codes, scales], [y], attributes);
    if (offsets === undefined) return;
    const { means, factor } = emitMeans(emitter, x, input.shape.length, { numBlocks, size });
    const ofSums = { transB: 1, alpha: { float: factor } };
    emitter.node("Add", [y, emitter.value("com.microsoft.FusedMatMul", [means, offsets], ofSums)], [output]);
  },
  vjp: ({ inputs: [x, codes, scales, offsets], attributes: { bits } }, [g]) => {
    const dWeight = matmul(flattenRows(g), flattenRows(x), { transA: true });
    const perCode = reshape(mul(dWeight, stepsOf(codes, bits)), codeShape(codes, bits));
    const dScales = reshape(reduceSum(perCode, [2]), scales.shape);
    const dx = matmul(g, weightOfBits({ codes, scales, offsets }, bits));
    if (!offsets) return [dx, null, dScales];
    const perBlock = reduceSum(reshape(dWeight, codeShape(codes, bits)), [2]);
    return [dx, null, dScales, reshape(perBlock, offsets.shape)];
  },
};

/** Reduces each block of a row to one number, which times `factor` is the block's sum. For three axes that takes one node. */
function emitMeans(
  emitter: Emitter,
  x: string,
  rank: number,
  { numBlocks, size }: { readonly numBlocks: number; readonly size: number },
): { means: string; factor: number } {
  if (rank === 3) {
    const means = emitter.value("AveragePool", [x], { kernel_shape: [size], strides: [size] });
    return { means, factor: size };
  }
  const lead = Array.from({ length: rank - 1 }, () => 0);
  const blocks = emitter.value("Reshape", [x, emitter.int64([...lead, numBlocks, size])]);
  const axis = emitter.int64([rank]);
  return { means: emitter.value("ReduceSum", [blocks, axis], { keepdims: 0 }), factor: 1 };
}

/** [out, blocks, codes of a block] */
function codeShape(
  { shape: [numRows, numBlocks, numBytes] }: Value,
  bits: BlockBits,
): [number, number, number] {
  return [numRows as number, numBlocks as number, ((numBytes as number) * 8) / bits];
}

/** Returns the codes of rows relative to the code of zero, [..., in]. */
function stepsOf(codes: Value, bits: BlockBits): Value {
  const lead = codes.shape.slice(0, -2);
  const numBytes = sizeAt(codes.shape, -2) * sizeAt(codes.shape, -1);
  const packed = reshape(codes, [...lead, numBytes]);
  const unpacked = bits === 8 ? cast(packed, "float32") : unpackCodes(packed, bits, (numBytes * 8) / bits);
  return sub(unpacked, codes.graph.scalar(middleOf(bits)));
}

/** A matrix [out, in], quantized in blocks along its rows. */
interface MatrixInBlocks {
  /** [out, blocks, bytes of a block] */
  readonly codes: Value;
  /** [out, blocks] */
  readonly scales: Value;
  /** [out, blocks]; absent: the codes are symmetric around zero. */
  readonly offsets?: Value | undefined;
}

/** Returns the matrix in float32; also rows [...] of a matrix of 8 bits, picked in any order. */
export function weightOfBits({ codes, scales, offsets }: MatrixInBlocks, bits: BlockBits): Value {
  const ofBlocks = scales.shape;
  const steps = stepsOf(codes, bits);
  const numBlocks = sizeAt(ofBlocks, -1);
  const perBlock = (value: Value): Value => reshape(value, [...ofBlocks, 1]);
  const blocks = reshape(steps, [...ofBlocks, sizeAt(steps.shape, -1) / numBlocks]);
  const symmetric = mul(blocks, perBlock(scales));
  return reshape(offsets ? add(symmetric, perBlock(offsets)) : symmetric, steps.shape);
}

/** Multiplies x [..., in] with a matrix: [..., out]. */
export function matmulBits(x: Value, matrix: MatrixInBlocks, options: MatmulBitsOptions): Value {
  const { codes, scales, offsets } = matrix;
  const inputs: Inputs = offsets ? [x, codes, scales, offsets] : [x, codes, scales];
  return applyOne(matmulBitsOp, inputs, { ...options });
}

/** Sums blocks of `size` columns of x [..., in] to [..., in/size], which a constant of each block of a matrix multiplies. */
export function blockSums(x: Value, size: number): Value {
  const lead = x.shape.slice(0, -1);
  const numBlocks = sizeAt(x.shape, -1) / size;
  const sums = reduceSum(reshape(x, [...lead, numBlocks, size]), [lead.length + 1]);
  return reshape(sums, [...lead, numBlocks]);
}
