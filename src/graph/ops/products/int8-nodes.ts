/**
 * @file The nodes of a product with codes of 8 bits: rows are rounded, each with a scale of its own, and multiplied as integers.
 *
 *   y[m, n] = r[m] s[n] Σ_k q[m, k] c[k, n]     q = round(x / r)   r[m] = max_k |x[m, k]| / 127
 *
 * Processors multiply an unsigned byte by a signed one, so codes of rows are offset by 128; signed by signed is many times slower.
 */
import { DTYPES } from "../../dtype.ts";
import type { Emitter } from "../../emitter.ts";

/** Largest code. */
export const INT8_LARGEST = 127;
/** The unsigned code of zero. */
const MIDDLE = INT8_LARGEST + 1;
/** The largest unsigned code. */
const UINT8_LARGEST = 255;
/** Smallest scale of a row, so that a row of zeros gets codes of zero. */
const LEAST_SCALE = 1e-30;
/** Sums of products are 32-bit integers. */
const LARGEST_SUM = 2 ** 31 - 1;

/** The most columns for which no sum of products overflows. */
export const WIDEST_UNIT = Math.floor(LARGEST_SUM / INT8_LARGEST ** 2);

/** Number of rows before thresholds repeat, and the step between thresholds of neighbouring columns, the golden ratio. */
export const NUM_THRESHOLDS = 16;
const THRESHOLD_STEP = 0.618_033_988_75;

/**
 * What x holds. Shares, such as probabilities, are never negative and have codes from 0 to 255. Thousands of them may each be
 * less than half a code but together a large part of the row. So a share is rounded up if its fraction exceeds a threshold that
 * differs between columns and between 16 successive rows: rounding errors then average out over rows.
 */
export type RowKind = { readonly rows: "numbers" | "shares" };

/** Emits the product [m, n] of rows [m, k] with codes [k, n] and scales [n], under a new name or `into`. `width`: k. */
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
 * Emits the product of rows with any number of axes. Rows are divided by their largest entries before rounding: one more pass
 * over the rows, but half as many nodes, which dominate the time of a few rows.
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
 * Emits the sums of products of unsigned and signed bytes, times the scales of both. Where pairs would overflow, both are made
 * unsigned: exact, at two thirds of the speed.
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
    // A signed byte minus 128 wraps around to the bits of the unsigned code. The cast overwrites the sum; BitwiseXor cannot
    // overwrite a cast, and takes five times as long and twice the memory.
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

/** Shifts each entry by up to half a code, up or down, so that rounding to the nearest code rounds by the threshold. */
function emitShifted(emitter: Emitter, rows: string, rowScales: string, width: number): string {
  const shifts = Float32Array.from({ length: NUM_THRESHOLDS * width }, (_, at) => {
    const threshold = (at % width) * THRESHOLD_STEP + Math.floor(at / width) / NUM_THRESHOLDS;
    return threshold - Math.floor(threshold) - 0.5;
  });
  const table = emitter.constant("float32", [NUM_THRESHOLDS, width], shifts);
  // Running sums have the shape of the rows, which ONNX Runtime knows before a run, so one piece of memory serves all three.
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
