/**
 * @file The nodes of a product with codes of 8 bits: rows are rounded, each with a scale of its own, and multiplied in whole
 * numbers.
 *
 *   y[m, n] = r[m] s[n] Σ_k q[m, k] c[k, n]     q = round(x / r)   r[m] = max_k |x[m, k]| / 127
 *
 * Processors multiply an unsigned by a signed byte, so rows are rounded around 128; both signed is many times slower.
 */
import { DTYPES } from "../../dtype.ts";
import type { Emitter } from "../../emitter.ts";

/** Largest code. */
export const INT8_LARGEST = 127;
/** The unsigned code of zero. */
const MIDDLE = INT8_LARGEST + 1;
/** The largest unsigned code. */
const UINT8_LARGEST = 255;
/** Least scale of a row: one of zeros has codes of zero. */
const LEAST_SCALE = 1e-30;
/** Sums of products are 32-bit whole numbers. */
const LARGEST_SUM = 2 ** 31 - 1;

/** Up to so many columns, no sum of products overflows. */
export const WIDEST_UNIT = Math.floor(LARGEST_SUM / INT8_LARGEST ** 2);

/** Rows with different thresholds, and how far those of one column and the next are apart: by the golden ratio. */
export const NUM_THRESHOLDS = 16;
const THRESHOLD_STEP = 0.618_033_988_75;

/**
 * What x holds. Shares, such as probabilities, are never negative and have codes from 0 to 255. Thousands of them may each be
 * less than half a code, and together a large part of the row. So a share is rounded up where what is left of it exceeds a
 * threshold, which is another in each column and in each of 16 rows: over some rows, what is lost here is found there.
 */
export type RowKind = { readonly rows: "numbers" | "shares" };

/**
 * Emits the product of rows [m, k] with codes [k, n] of outputs with scales, [m, n], under a new name or `into`. `width`: k.
 */
export function emitInt8Product(
  emitter: Emitter,
  [rows, codes, scales]: readonly [rows: string, codes: string, scales: string],
  { rows: kind, width }: RowKind & { readonly width: number },
  into?: string,
): string {
  const areShares = kind === "shares";
  const zero = areShares ? emitter.constant("uint8", [], Uint8Array.of(0)) : emitMiddle(emitter);
  const axis = emitter.int64([1]);
  const largest = emitter.value("ReduceMax", [areShares ? rows : emitter.value("Abs", [rows]), axis], {
    keepdims: 0,
  });
  const numCodes = areShares ? UINT8_LARGEST : INT8_LARGEST;
  const step = emitter.value("Mul", [largest, emitter.scalar(1 / numCodes)]);
  const least = [emitter.scalar(LEAST_SCALE)];
  if (numCodes * INT8_LARGEST * width > LARGEST_SUM) {
    // Σ |code| ≤ Σ |x| / scale + in, since rounding moves a code by at most 1. The scale keeps that sum within 32 bits.
    const sum = emitter.value("ReduceSum", [emitter.value("Abs", [rows]), axis], { keepdims: 0 });
    const most = LARGEST_SUM / INT8_LARGEST - width;
    least.push(emitter.value("Mul", [sum, emitter.scalar(1 / most)]));
  }
  const rowScales = emitter.value("Max", [step, ...least]);
  const zeros = emitter.value("Expand", [zero, emitter.value("Shape", [rowScales])]);
  const shifted = areShares ? emitShifted(emitter, rows, rowScales, width) : rows;
  const rounded = emitter.value("QuantizeLinear", [shifted, rowScales, zeros], { axis: 0 });
  const product = emitByteProduct(emitter, [rounded, codes, emitter.scalar(1), scales, zero]);
  const column = emitter.value("Unsqueeze", [rowScales, axis]);
  if (into === undefined) return emitter.value("Mul", [product, column]);
  emitter.node("Mul", [product, column], [into]);
  return into;
}

/**
 * Emits the product of rows of any number of axes, divided by their largest entries before they are rounded: another pass over
 * the rows, but half as many nodes, of which a few rows are mostly made.
 */
export function emitUnitProduct(
  emitter: Emitter,
  [rows, codes, scales]: readonly [rows: string, codes: string, scales: string],
  into: string,
  axis: number,
): void {
  const largest = emitter.value("ReduceMax", [emitter.value("Abs", [rows]), emitter.int64([axis])], {
    keepdims: 1,
  });
  const row = emitter.value("Max", [largest, emitter.scalar(LEAST_SCALE)]);
  const [step, zero] = [emitter.scalar(1 / INT8_LARGEST), emitMiddle(emitter)];
  const rounded = emitter.value("QuantizeLinear", [emitter.value("Div", [rows, row]), step, zero]);
  const product = emitByteProduct(emitter, [rounded, codes, step, scales, zero]);
  emitter.node("Mul", [product, row], [into]);
}

/**
 * Emits the sums of products of unsigned bytes with signed ones, times scales of both. Where pairs of these would overflow,
 * both are unsigned: exact, at two thirds of the speed.
 */
function emitByteProduct(
  emitter: Emitter,
  [rows, codes, ...factors]: readonly [
    rows: string,
    codes: string,
    rowScale: string,
    scales: string,
    zero: string,
  ],
): string {
  const inputs = [rows, codes, ...factors];
  if (emitter.target.bytePairsOverflow) {
    // A signed byte less 128 wraps round to the bits of the unsigned code. The cast writes over the sum; BitwiseXor, which cannot
    // write over a cast, takes five times as long and twice the memory.
    const wrapped = emitter.value("Add", [codes, emitter.constant("int8", [], Int8Array.of(-MIDDLE))]);
    inputs.splice(1, 1, emitter.value("Cast", [wrapped], { to: DTYPES.uint8.onnx }));
    inputs.push(emitMiddle(emitter));
  }
  return emitter.value("com.microsoft.MatMulIntegerToFloat", inputs);
}

/** Emits the unsigned code of zero. */
function emitMiddle(emitter: Emitter): string {
  return emitter.constant("uint8", [], Uint8Array.of(MIDDLE));
}

/** Adds up to half a code to each row, up or down, so that rounding to the nearest code is rounding by the threshold. */
function emitShifted(emitter: Emitter, rows: string, rowScales: string, width: number): string {
  const shifts = Float32Array.from({ length: NUM_THRESHOLDS * width }, (_, at) => {
    const threshold = (at % width) * THRESHOLD_STEP + Math.floor(at / width) / NUM_THRESHOLDS;
    return threshold - Math.floor(threshold) - 0.5;
  });
  const table = emitter.constant("float32", [NUM_THRESHOLDS, width], shifts);
  // Running sums have the shape of the rows, which is known before a program runs, so one piece of memory serves all three.
  const isPositive = emitter.value("Greater", [rowScales, emitter.scalar(0)]);
  const ones = emitter.value("Cast", [isPositive], { to: DTYPES.float32.onnx });
  const numbers = emitter.value("CumSum", [ones, emitter.int64([0])], { exclusive: 1 });
  const turns = emitter.value("Mod", [numbers, emitter.scalar(NUM_THRESHOLDS)], { fmod: 1 });
  const ofRows = emitter.value("Gather", [table, emitter.value("Cast", [turns], { to: DTYPES.int64.onnx })], {
    axis: 0,
  });
  const column = emitter.value("Unsqueeze", [rowScales, emitter.int64([1])]);
  return emitter.value("Add", [rows, emitter.value("Mul", [ofRows, column])]);
}
