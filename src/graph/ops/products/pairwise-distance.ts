/**
 * @file Euclidean distances of rows:  D_ij = |u_i - v_j|.   u [M, Q]  v [N, Q], sizes known  →  [M, N]
 *
 *   dU = rowsum(R) ∘ u - R v     dV = colsum(R) ∘ v - Rᵀ u     R = dD / D, and 0 where D is 0
 *
 * D² = |u|² + |v|² - 2 u·v is one product of widened rows, but its rounding error of 1e-7 (|u|² + |v|²) is too large for close rows. So
 * each number is scaled and split into an integer part h, so small that products and sums of h are exact in float32, and a rest l: the
 * integer parts cancel exactly, and only the small products with a rest are rounded. D² is a second output for the gradient.
 */
import type { Emitter } from "../../emitter.ts";
import type { NoAttributes, Op, Value } from "../../graph.ts";
import { dimsOf, knownShape, showShape, sizeAt } from "../../shape.ts";
import { concat } from "../shapes/concat.ts";
import { div, mul, sub } from "../pointwise/elementwise.ts";
import { matmul } from "./matmul.ts";
import { maximum } from "../pointwise/maximum.ts";
import { reduceSum } from "../shapes/reduce-expand.ts";
import { slice } from "../shapes/slice-pad.ts";

/** Share of |u|² + |v|² that is subtracted from D², about the rounding error, so that equal rows have distance 0. */
const NOISE = 2 ** -31;
/** Distances below this share of |u| are damped in the gradient, since the two terms of dU cancel there. */
const CLOSE = 2 ** -12;
/** Keeps the scale finite when all is zero. */
const TINY = 1e-15;

export const pairwiseDistanceOp: Op<
  NoAttributes,
  readonly [u: Value, v: Value],
  readonly [distance: Value, squared: Value]
> = {
  name: "pairwiseDistance",
  infer: ([u, v]) => {
    const [a, b] = [u.shape, v.shape];
    const known = [...a, ...b].every((size) => typeof size === "number");
    if (a.length !== 2 || b.length !== 2 || a[1] !== b[1] || !known) {
      throw new RangeError(`Cannot measure distances of rows of ${showShape(a)} and ${showShape(b)}`);
    }
    const distances = { dtype: u.dtype, shape: [a[0]!, b[0]!] };
    return [distances, distances];
  },
  emit: (node, emitter) => {
    const [u, v] = node.inputs;
    const [m, q] = dimsOf(knownShape(u.shape), 2);
    const n = sizeAt(v.shape, 0);
    const emit: Emitter["value"] = (...given) => emitter.value(...given);
    const rows = emit("Concat", [emitter.name(u), emitter.name(v)], { axis: 0 });
    const largest = emit("ReduceMax", [emit("Abs", [rows])], { keepdims: 0 });
    const scale = powerOfTwo(emitter, emit("Max", [largest, emitter.scalar(TINY)]), q);
    const scaled = emit("Mul", [rows, scale]);
    const h = emit("Round", [scaled]);
    const l = emit("Sub", [scaled, h]);
    const lastAxis = emitter.int64([1]);
    const hh = emit("ReduceSumSquare", [h, lastAxis]);
    // |h + l|² - |h|² = Σ l (2h + l), minus the noise.
    const products = emit("ReduceSum", [emit("Mul", [l, emit("Add", [scaled, h])]), lastAxis]);
    const rest = emit("Sub", [products, emit("Mul", [hh, emitter.scalar(NOISE)])]);
    const ones = emit("Expand", [emitter.scalar(1), emitter.int64([m + n, 1])]);
    const wide = emit("Concat", [h, ones, hh, l, scaled, ones, rest], { axis: 1 });
    const [wideU, wideV] = [emitter.temporary(), emitter.temporary()];
    emitter.node("Split", [wide, emitter.int64([m, n])], [wideU, wideV], { axis: 0 });
    const back = emit("Div", [emitter.scalar(1), emit("Mul", [scale, scale])]);
    const pairing = emitter.constant("float32", [widenedWidth(q), widenedWidth(q)], pairs(q));
    const left = emit("MatMul", [wideU, emit("Mul", [pairing, back])]);
    const rounded = emit("com.microsoft.FusedMatMul", [left, wideV], { transB: 1 });
    const [distance, squared] = emitter.names(node.outputs);
    emitter.node("Relu", [rounded], [squared]);
    emitter.node("Sqrt", [squared], [distance]);
  },
  multiplications: ({ inputs: [u, v] }) => {
    const width = widenedWidth(sizeAt(u.shape, 1));
    return { kind: "float32", count: sizeAt(u.shape, 0) * width * (width + sizeAt(v.shape, 0)) };
  },
  vjp: ({ inputs: [u, v], outputs: [distance, squared] }, [gradient, dSquared]) => {
    if (dSquared || !gradient)
      throw new TypeError("Cannot differentiate pairwiseDistance: D² has a gradient");
    const { graph } = u;
    const lengths = reduceSum(mul(u, u), [1]); // [M, 1]
    const least = maximum(mul(lengths, graph.scalar(CLOSE ** 2)), graph.scalar(TINY ** 2));
    const ratio = mul(gradient, div(distance, maximum(squared, least))); // [M, N]
    return [pull(u, matmul(ratio, withOnes(v))), pull(v, matmul(ratio, withOnes(u), { transA: true }))];
  },
};

/** Appends a column of ones to rows, so that a product with them also has row sums. */
function withOnes(rows: Value): Value {
  const count = sizeAt(rows.shape, 0);
  return concat([rows, rows.graph.constant("float32", [count, 1], new Float32Array(count).fill(1))], 1);
}

/** rowsum ∘ u - R v of [R v, rowsum]. */
function pull(u: Value, product: Value): Value {
  const width = sizeAt(u.shape, 1);
  return sub(mul(slice(product, 1, width, width + 1), u), slice(product, 1, 0, width));
}

/**
 * Emits the largest power of two that scales numbers up to `largest` so that 4 Q squares of their integer parts stay below 2²⁴,
 * up to which integers are exact.
 */
function powerOfTwo(emitter: Emitter, largest: string, q: number): string {
  const bits = Math.floor((22 - Math.log2(q)) / 2);
  const log = emitter.value("Mul", [emitter.value("Log", [largest]), emitter.scalar(-1 / Math.LN2)]);
  const exponent = emitter.value("Floor", [emitter.value("Add", [log, emitter.scalar(bits)])]);
  return emitter.value("Pow", [emitter.scalar(2), exponent]);
}

/** Width of a widened row: h, l, h + l, and four more numbers. */
const widenedWidth = (q: number): number => 3 * q + 4;

/**
 * The matrix M of the bilinear form a M bᵀ of widened rows a, b = [h, 1, |h|², l, h + l, 1, rest]: -2 h·h' + |h|² + |h'|², which
 * are integers, plus -2 h·l' - 2 l·(h' + l') + rest + rest'.
 */
function pairs(q: number): Float32Array {
  const width = widenedWidth(q);
  const [H, ONE, HH, L, BOTH, ONE2, REST] = [0, q, q + 1, q + 2, 2 * q + 2, 3 * q + 2, 3 * q + 3] as const;
  const matrix = new Float32Array(width * width);
  const pair = (from: number, to: number, factor: number): void => {
    matrix[from * width + to] = factor;
  };
  for (let i = 0; i < q; i++) {
    pair(H + i, H + i, -2);
    pair(H + i, L + i, -2);
    pair(L + i, BOTH + i, -2);
  }
  pair(HH, ONE, 1);
  pair(ONE, HH, 1);
  pair(REST, ONE2, 1);
  pair(ONE2, REST, 1);
  return matrix;
}

/** Distances of the rows of u [M, Q] from those of v [N, Q]: [M, N]. */
export function pairwiseDistance(u: Value, v: Value): Value {
  return u.graph.apply(pairwiseDistanceOp, [u, v], {})[0];
}
