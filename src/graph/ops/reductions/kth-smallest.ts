/**
 * @file The k-th smallest of all elements, exactly.   x [..., n], all sizes known, 1 ≤ k ≤ numel(x) → []
 *
 * The gradient goes to the elements that equal it, in equal parts.
 *
 * Selecting among all elements takes longer than a matrix product. So above `SMALL` elements an evenly spaced sample gives bounds
 * between which the answer very likely lies; elements below them are counted, and the answer is selected from those between. If
 * the counts show that it lies outside, the bounds are dropped, so only the time depends on luck.
 */
import { DTYPES } from "../../dtype.ts";
import type { Emitter } from "../../emitter.ts";
import { applyOne, type Node, type Op, type Value } from "../../graph.ts";
import { knownShape, numElements, showShape, sizeAt } from "../../shape.ts";
import { equal } from "../pointwise/compare.ts";
import { div, mul } from "../pointwise/elementwise.ts";
import { reduceSum } from "../shapes/reduce-expand.ts";
import { reshape } from "../shapes/reshape.ts";

/** Selects the k-th smallest of `count` elements. */
interface Rank {
  readonly k: number;
  readonly count: number;
}

type KthAttributes = Readonly<Record<"k", number>>;

/** Up to here selecting among all elements is fastest. */
const SMALL = 32_768;
/** Half the distance between the bounds, in standard deviations of the rank in the sample. */
const DEVIATIONS = 4;
/** Counts of a row are added up in float32, which is exact up to here. */
const MAX_ROW = 2 ** 24;

export const kthSmallestOp: Op<KthAttributes, readonly [Value]> = {
  name: "kthSmallest",
  infer: ([{ dtype, shape }], { k }) => {
    const isKnown = shape.every((dim) => typeof dim === "number");
    if (!isKnown || dtype !== "float32" || (shape.at(-1) ?? 1) >= MAX_ROW) {
      throw new RangeError(`Cannot select from ${dtype} ${showShape(shape)}: sizes must be known and small`);
    }
    const count = numElements(shape);
    if (!Number.isInteger(k) || k < 1 || k > count) {
      throw new RangeError(`Cannot select number ${k} of ${showShape(shape)}: it has ${count} elements`);
    }
    return [{ dtype, shape: [] }];
  },
  emit: (node, emitter) => {
    const { k } = node.attributes;
    const count = numElements(knownShape(node.inputs[0].shape));
    const flat = emitter.value("Reshape", [...emitter.names(node.inputs), emitter.int64([-1])]);
    const [result] = emitter.names(node.outputs);
    if (count <= SMALL) select(emitter, flat, { k, count }, result);
    else selectBetween(node, emitter, flat, result);
  },
  vjp: ({ inputs: [x], outputs: [y] }, [gradient]) => {
    const hits = equal(x, y);
    const axes = x.shape.map((_, axis) => axis);
    const total = reshape(reduceSum(hits, axes), []);
    return [mul(hits, div(gradient, total))];
  },
};

/** Emits the k-th smallest of a vector of known length, from the nearer end. */
function select(emitter: Emitter, flat: string, { k, count }: Rank, result: string): void {
  const largest = k > count / 2;
  const [values, indices] = [emitter.temporary(), emitter.temporary()];
  const size = emitter.int64([largest ? count - k + 1 : k]);
  emitter.node("TopK", [flat, size], [values, indices], { axis: 0, largest: Number(largest), sorted: 0 });
  emitter.node(largest ? "ReduceMin" : "ReduceMax", [values], [result], { keepdims: 0 });
}

/** Emits bounds, from every `step`-th element, between which the k-th smallest very likely lies. */
function sampleBounds(
  emitter: Emitter,
  flat: string,
  { k, count }: Rank,
  step: number,
): [low: string, high: string] {
  const size = Math.ceil(count / step);
  const range = [0, count, 0, step].map((n) => emitter.int64([n]));
  const sample = emitter.value("Slice", [flat, ...range]);
  const share = k / count;
  const slack = DEVIATIONS * Math.sqrt(size * share * (1 - share)) + 1;
  const bound = (at: number, sign: 1 | -1): string => {
    if (at < 1 || at > size) return emitter.scalar(sign * Infinity);
    const value = emitter.temporary();
    select(emitter, sample, { k: at, count: size }, value);
    return value;
  };
  return [bound(Math.floor(size * share - slack), -1), bound(Math.ceil(size * share + slack), 1)];
}

function selectBetween(
  node: Node<KthAttributes, readonly [Value]>,
  emitter: Emitter,
  flat: string,
  result: string,
): void {
  const { k } = node.attributes;
  const [x] = node.inputs;
  const count = numElements(knownShape(x.shape));
  const emit = (operator: string, inputs: readonly string[], attributes = {}): string =>
    emitter.value(operator, inputs, attributes);
  const infinity = (sign: 1 | -1): string => emitter.scalar(sign * Infinity);
  const rank = emitter.int64Scalar(k);
  const int64 = (n: number): string => emitter.int64([n]);
  const [low, high] = sampleBounds(emitter, flat, { k, count }, sampleStep(count, sizeAt(x.shape, -1)));

  const countWhere = (comparison: string, limit: string): string => {
    const truth = emit("Cast", [emit(comparison, [emitter.name(x), limit])], { to: DTYPES.float32.onnx });
    const rows = emit("ReduceSum", [truth, int64(x.shape.length - 1)], { keepdims: 0 });
    return emit("ReduceSum", [emit("Cast", [rows], { to: DTYPES.int64.onnx })], { keepdims: 0 });
  };
  const below = countWhere("Less", low);
  const isBelow = emit("Less", [below, rank]);
  const isBetween = emit("And", [isBelow, emit("LessOrEqual", [rank, countWhere("LessOrEqual", high)])]);
  const from = emit("Where", [isBetween, low, infinity(-1)]);
  const to = emit("Where", [isBetween, high, infinity(1)]);
  const zero = emitter.int64Scalar(0);
  const remaining = emit("Sub", [rank, emit("Where", [isBetween, below, zero])]);

  const mask = emit("And", [emit("GreaterOrEqual", [flat, from]), emit("LessOrEqual", [flat, to])]);
  const between = emit("Compress", [flat, mask], { axis: 0 });
  // If x has NaN, there may be no element between; one more element keeps TopK valid.
  const candidates = emit("Concat", [between, emitter.constant("float32", [1], Float32Array.of(Infinity))], {
    axis: 0,
  });
  const most = emit("Size", [candidates]);
  const number = emit("Reshape", [emit("Min", [remaining, most]), int64(1)]);
  const indices = emitter.temporary();
  const values = emitter.temporary();
  emitter.node("TopK", [candidates, number], [values, indices], { axis: 0, largest: 0, sorted: 0 });
  emitter.node("ReduceMax", [values], [result], { keepdims: 0 });
}

/**
 * Distance between sampled elements: about 2 N^(2/3) of them balance the cost of selecting the bounds and of selecting between
 * them. It has no common divisor with the row length, so that all columns are sampled equally often.
 */
function sampleStep(count: number, rowLength: number): number {
  let step = Math.floor(Math.cbrt(count) / 2);
  while (greatestCommonDivisor(step, rowLength) > 1) step++;
  return step;
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

/** Selects the k-th smallest, counted from 1, of all elements of x [...] float32: []. */
export function kthSmallest(x: Value, k: number): Value {
  return applyOne(kthSmallestOp, [x], { k });
}
