/**
 * @file Product with a matrix of 4-bit codes in blocks of 32 that share a scale.
 *
 *   y[.., n] = Σ_k x[.., k] · W[n, k]     W[n, k] = scale[n, ⌊k/32⌋] · (code[n, k] − 8)
 *
 * Codes lie two a byte, the even one in the low half. With `activations` "int8" each block of x is rounded to 8 bits with a
 * scale of its own, which is several times faster at one row; the gradient takes the rounding for the identity. ONNX
 * Runtime is fast when codes are constants of the program, and a hundred times slower when they are fed; scales may be fed.
 */
import { MICROSOFT } from "../emitter.ts";
import type { Value } from "../graph.ts";
import { type Op, applyOne } from "../op.ts";
import { type Dim, showShape } from "../shape.ts";
import { mul, sub } from "./elementwise.ts";
import { flattenRows, matmul } from "./matmul.ts";
import { reduceSum } from "./reduce-expand.ts";
import { reshape } from "./reshape.ts";
import { unpackCodes } from "./unpack-codes.ts";

/** Columns that share a scale. */
export const BITS4_BLOCK = 32;
/** The code of zero. */
const MIDDLE = 8;
/** Accuracy levels of ONNX Runtime's operator: how x is rounded before it is multiplied. */
const ACCURACY = { float32: 1, int8: 4 } as const;

type Bits4Attributes = Readonly<{ activations: keyof typeof ACCURACY }>;

export const matmulBits4Op: Op<Bits4Attributes, readonly [Value, Value, Value]> = {
  name: "matmulBits4",
  infer: ([x, codes, scales]) => {
    const [numRows, numBlocks, numBytes] = codes.shape;
    if (x.dtype !== "float32" || codes.dtype !== "uint8" || scales.dtype !== "float32") {
      throw new TypeError(
        `Cannot multiply ${x.dtype} by codes ${codes.dtype} with scales ${scales.dtype}: expected float32, uint8 and float32`,
      );
    }
    const isWhole = codes.shape.length === 3 && numBytes === BITS4_BLOCK / 2;
    if (!isWhole || x.shape.length < 2 || x.shape.at(-1) !== (numBlocks as number) * BITS4_BLOCK) {
      throw new RangeError(
        `Cannot multiply ${showShape(x.shape)} by codes ${showShape(codes.shape)}: expected [out, in/32, 16]`,
      );
    }
    if (scales.shape.length !== 2 || scales.shape[0] !== numRows || scales.shape[1] !== numBlocks) {
      throw new RangeError(
        `Cannot multiply by codes ${showShape(codes.shape)} with scales ${showShape(scales.shape)}: expected one a block`,
      );
    }
    return [{ dtype: "float32", shape: [...x.shape.slice(0, -1), numRows as Dim] }];
  },
  emit: (node, emitter) => {
    const [, { shape }] = node.inputs;
    emitter.simple(
      node,
      "MatMulNBits",
      {
        K: (shape[1] as number) * BITS4_BLOCK,
        N: shape[0] as number,
        bits: 4,
        block_size: BITS4_BLOCK,
        accuracy_level: ACCURACY[node.attributes.activations],
      },
      MICROSOFT,
    );
  },
  vjp: ({ inputs: [x, codes, scales] }, [g]) => {
    const dWeight = matmul(flattenRows(g), flattenRows(x), { transA: true });
    const perCode = reshape(mul(dWeight, stepsOf(codes)), codeShape(codes));
    return [matmul(g, weightOfBits4(codes, scales)), null, reshape(reduceSum(perCode, [2]), scales.shape)];
  },
};

/** [out, blocks, codes of a block] */
function codeShape({ shape: [numRows, numBlocks] }: Value): [number, number, number] {
  return [numRows as number, numBlocks as number, BITS4_BLOCK];
}

/** The codes [out, in] as steps from zero. */
function stepsOf(codes: Value): Value {
  const [numRows, numBlocks] = codeShape(codes);
  const columns = numBlocks * BITS4_BLOCK;
  const packed = reshape(codes, [numRows, columns / 2]);
  return sub(unpackCodes(packed, 4, columns), codes.graph.scalar(MIDDLE));
}

/** The matrix [out, in] in float32 of codes [out, in/32, 16] and scales [out, in/32]. */
export function weightOfBits4(codes: Value, scales: Value): Value {
  const [numRows, numBlocks, size] = codeShape(codes);
  const steps = reshape(stepsOf(codes), [numRows, numBlocks, size]);
  return reshape(mul(steps, reshape(scales, [numRows, numBlocks, 1])), [numRows, numBlocks * size]);
}

/** Multiplies x [..., in] with codes [out, in/32, 16] and scales [out, in/32]: [..., out]. */
export function matmulBits4(
  x: Value,
  codes: Value,
  scales: Value,
  activations: Bits4Attributes["activations"],
): Value {
  return applyOne(matmulBits4Op, [x, codes, scales], { activations });
}

/** Sums of the blocks of `size` columns of x [..., in], [..., in/size]: what a constant in each block of a matrix multiplies. */
export function blockSums(x: Value, size: number): Value {
  const lead = x.shape.slice(0, -1);
  const numBlocks = (x.shape.at(-1) as number) / size;
  const sums = reduceSum(reshape(x, [...lead, numBlocks, size]), [lead.length + 1]);
  return reshape(sums, [...lead, numBlocks]);
}
