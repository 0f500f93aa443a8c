/**
 * @file Rotates and scales pairs of the last axis:  z = c ∘ h + s ∘ rot(h),  rot(h)ₖ = -hₖ₊ₘ, rot(h)ₖ₊ₘ = hₖ for the halves k < m
 * of each group of 2m.
 *
 *   dh = c ∘ dz - rot(s ∘ dz)    dc = Σ dz ∘ h    ds = Σ dz ∘ rot(h)      h [..., D]   c, s [D/2], or broadcast to h
 *
 * Paper: "3-in-1: 2D Rotary Adaptation", arXiv:2409.00119, eq. 4, whose groups are of 2. Coefficients of width D/2 are one for
 * each pair. ONNX Runtime's RotaryEmbedding then does everything in one pass, with groups in the place of its positions.
 */
import type { Emitter } from "../../emitter.ts";
import { applyOne, type Node, type Op, type Value } from "../../graph.ts";
import { type Dim, broadcastShapes, sameShape, showShape, sizeAt } from "../../shape.ts";
import { concat } from "../shapes/concat.ts";
import { mul, neg } from "../pointwise/elementwise.ts";
import { flattenRows } from "./matmul.ts";
import { reduceSum, sumTo } from "../shapes/reduce-expand.ts";
import { reshape } from "../shapes/reshape.ts";
import { split } from "../rows/split.ts";

type RotateAttributes = Readonly<{ groupSize: number }>;

type RotateInputs = readonly [h: Value, c: Value, s: Value];

export const rotatePairsOp: Op<RotateAttributes, RotateInputs> = {
  name: "rotatePairs",
  infer: ([{ dtype, shape }, c, s], { groupSize }) => {
    const width = shape.at(-1);
    const coefficients = c.shape;
    const fits =
      typeof width === "number" &&
      groupSize % 2 === 0 &&
      width % groupSize === 0 &&
      sameShape(coefficients, s.shape) &&
      (isPerPair(width, coefficients) ||
        (coefficients.at(-1) === width && sameShape(broadcastShapes("rotate", shape, coefficients), shape)));
    if (!fits) {
      throw new RangeError(
        `Cannot rotate pairs of ${showShape(shape)} in groups of ${groupSize} by ${showShape(coefficients)} and ${showShape(s.shape)}`,
      );
    }
    return [{ dtype, shape }];
  },
  emit: (node, emitter) => {
    const [{ shape }, { shape: coefficients }] = node.inputs;
    const [h, c, s] = emitter.names(node.inputs);
    const [z] = emitter.names(node.outputs);
    const width = sizeAt(shape, -1);
    if (isPerPair(width, coefficients)) {
      emitTurn(node, emitter, [c, s], z);
      return;
    }
    const turned = emitter.temporary();
    const table = (value: number): string =>
      emitter.constant("float32", [width / 2], new Float32Array(width / 2).fill(value));
    emitTurn(node, emitter, [table(0), table(1)], turned);
    emitter.node("Add", [emitter.value("Mul", [h, c]), emitter.value("Mul", [turned, s])], [z]);
  },
  vjp: ({ inputs: [h, c, s], attributes: { groupSize } }, [dz]) => {
    const width = sizeAt(h.shape, -1);
    const perPair = isPerPair(width, c.shape);
    const back = perPair ? neg(s) : neg(swapHalves(s, groupSize));
    const turned = quarterTurn(h, groupSize);
    const reduce = (product: Value): Value => {
      if (!perPair) return sumTo(c.shape.length === 1 ? flattenRows(product) : product, c.shape);
      const sums = sumTo(flattenRows(product), [width]);
      const halves = reshape(sums, [width / groupSize, 2, groupSize / 2]);
      return reshape(reduceSum(halves, [1]), c.shape);
    };
    return [rotatePairs(dz, c, back, groupSize), reduce(mul(dz, h)), reduce(mul(dz, turned))];
  },
};

const isPerPair = (width: number, coefficients: readonly Dim[]): boolean =>
  coefficients.length === 1 && coefficients[0] === width / 2;

/** Emits the one pass over h with a cosine and a sine for each pair. */
function emitTurn(
  node: Node<RotateAttributes, RotateInputs>,
  emitter: Emitter,
  coefficients: readonly [string, string],
  z: string,
): void {
  const { groupSize } = node.attributes;
  const { shape } = node.inputs[0];
  const [h] = emitter.names(node.inputs);
  const width = sizeAt(shape, -1);
  // The kernel takes pairs of neighbours in heads of any width: one wide head is faster than many of 2.
  const neighbours = groupSize === 2;
  const head = neighbours ? width : groupSize;
  const view = (from: string, sizes: readonly number[]): string =>
    emitter.value("Reshape", [from, emitter.int64(sizes)]);
  const tables = coefficients.map((name) => view(name, [width / head, head / 2]));
  const heads = view(h, [-1, width / head, head]);
  const turned = emitter.value("com.microsoft.RotaryEmbedding", [heads, emitter.int64([0]), ...tables], {
    interleaved: Number(neighbours),
  });
  emitter.node("Reshape", [turned, emitter.value("Shape", [h])], [z], { allowzero: 1 });
}

/** Swaps the halves of each group. */
function swapHalves(x: Value, groupSize: number): Value {
  const lead = x.shape.slice(0, -1);
  const width = sizeAt(x.shape, -1);
  const halves = reshape(x, [...lead, width / groupSize, 2, groupSize / 2]);
  const [first, second] = split(halves, lead.length + 1, [1, 1]);
  return reshape(concat([second, first], lead.length + 1), x.shape);
}

/**
 * Rotates and scales pairs of h [..., D] in groups of `groupSize`, which is even and divides D. `c` and `s` have one coefficient
 * for each pair, [D/2] in the order of groups, or one for each element, [D] or any shape that broadcasts to h.
 */
export function rotatePairs(h: Value, c: Value, s: Value, groupSize: number): Value {
  return applyOne(rotatePairsOp, [h, c, s], { groupSize });
}

/** rot(h): rotates each pair of h [..., D] by a right angle, to (-h₂, h₁). */
export function quarterTurn(h: Value, groupSize: number): Value {
  const numPairs = sizeAt(h.shape, -1) / 2;
  const constant = (value: number): Value =>
    h.graph.constant("float32", [numPairs], new Float32Array(numPairs).fill(value));
  return rotatePairs(h, constant(0), constant(1), groupSize);
}
