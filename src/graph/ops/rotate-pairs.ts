/**
 * @file Turns and scales pairs of the last axis:  z = c ∘ h + s ∘ rot(h),  rot(h)ₖ = -hₖ₊ₘ, rot(h)ₖ₊ₘ = hₖ for the halves
 * k < m of each group of 2m.
 *
 *   dh = c ∘ dz - rot(s ∘ dz)    dc = Σ dz ∘ h    ds = Σ dz ∘ rot(h)      h [..., D]   c, s [D/2], or broadcast to h
 *
 * Paper: "3-in-1: 2D Rotary Adaptation", arXiv:2409.00119, eq. 4, whose groups are of 2. Coefficients of width D/2 are
 * one for each pair, which both its elements use: ONNX Runtime's RotaryEmbedding then does all in one pass, when the
 * groups stand where it has positions.
 */
import { type Emitter, MICROSOFT } from "../emitter.ts";
import type { Node, Value } from "../graph.ts";
import { type Op, applyOne } from "../op.ts";
import { type Dim, broadcastShapes, sameShape, showShape } from "../shape.ts";
import { sumTo } from "./broadcast.ts";
import { concat } from "./concat.ts";
import { flattenRows } from "./matmul.ts";
import { mul } from "./mul.ts";
import { neg } from "./neg.ts";
import { reduceSum } from "./reduce-sum.ts";
import { reshape } from "./reshape.ts";
import { split } from "./split.ts";

type RotateAttributes = Readonly<{ groupSize: number }>;

export const rotatePairsOp: Op<RotateAttributes> = {
  name: "rotatePairs",
  infer: ([h, c, s], { groupSize }) => {
    const { dtype, shape } = h as Value;
    const width = shape.at(-1);
    const coefficients = (c as Value).shape;
    const fits =
      typeof width === "number" &&
      groupSize % 2 === 0 &&
      width % groupSize === 0 &&
      sameShape(coefficients, (s as Value).shape) &&
      (isPerPair(width, coefficients) ||
        (coefficients.at(-1) === width && sameShape(broadcastShapes("rotate", shape, coefficients), shape)));
    if (!fits) {
      throw new RangeError(
        `Cannot rotate pairs of ${showShape(shape)} in groups of ${groupSize} by ${showShape(coefficients)} and ${showShape((s as Value).shape)}`,
      );
    }
    return [{ dtype, shape }];
  },
  emit: (node, emitter) => {
    const [h, c, s] = node.inputs as [Value, Value, Value];
    const width = h.shape.at(-1) as number;
    const z = emitter.name(node.outputs[0] as Value);
    if (isPerPair(width, c.shape)) {
      emitTurn(node, emitter, [emitter.name(c), emitter.name(s)], z);
      return;
    }
    const [scaled, turned, product] = [emitter.temporary(), emitter.temporary(), emitter.temporary()];
    const table = (value: number): string =>
      emitter.constant("float32", [width / 2], new Float32Array(width / 2).fill(value));
    emitTurn(node, emitter, [table(0), table(1)], turned);
    emitter.node("Mul", [emitter.name(h), emitter.name(c)], [scaled]);
    emitter.node("Mul", [turned, emitter.name(s)], [product]);
    emitter.node("Add", [scaled, product], [z]);
  },
  vjp: (node, [gradient]) => {
    const { groupSize } = node.attributes;
    const [h, c, s] = node.inputs as [Value, Value, Value];
    const dz = gradient as Value;
    const width = h.shape.at(-1) as number;
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
  node: Node<RotateAttributes>,
  emitter: Emitter,
  coefficients: readonly [string, string],
  z: string,
): void {
  const { groupSize } = node.attributes;
  const { shape } = node.inputs[0] as Value;
  const width = shape.at(-1) as number;
  // Neighbours are pairs of a kind that the kernel knows in heads of any width: one head is faster than many of 2.
  const neighbours = groupSize === 2;
  const head = neighbours ? width : groupSize;
  const view = (from: string, sizes: readonly number[]): string => {
    const to = emitter.temporary();
    emitter.node("Reshape", [from, emitter.int64(sizes)], [to]);
    return to;
  };
  const tables = coefficients.map((name) => view(name, [width / head, head / 2]));
  const heads = view(emitter.name(node.inputs[0] as Value), [-1, width / head, head]);
  const turned = emitter.temporary();
  emitter.node(
    "RotaryEmbedding",
    [heads, emitter.int64([0]), ...tables],
    [turned],
    { interleaved: Number(neighbours) },
    MICROSOFT,
  );
  const whole = emitter.temporary();
  emitter.node("Shape", [emitter.name(node.inputs[0] as Value)], [whole]);
  emitter.node("Reshape", [turned, whole], [z], { allowzero: 1 });
}

/** The halves of each group in the other order. */
function swapHalves(x: Value, groupSize: number): Value {
  const lead = x.shape.slice(0, -1);
  const width = x.shape.at(-1) as number;
  const halves = reshape(x, [...lead, width / groupSize, 2, groupSize / 2]);
  const [first, second] = split(halves, lead.length + 1, [1, 1]) as [Value, Value];
  return reshape(concat([second, first], lead.length + 1), x.shape);
}

/**
 * Turns and scales pairs of h [..., D] in groups of `groupSize`, which is even and divides D. `c` and `s`: one for each
 * pair, [D/2] in the order of groups, or one for each element, [D] or anything that broadcasts to h.
 */
export function rotatePairs(h: Value, c: Value, s: Value, groupSize: number): Value {
  return applyOne(rotatePairsOp, [h, c, s], { groupSize });
}

/** rot(h): each pair of h [..., D] turned by a right angle, (-h₂, h₁). */
export function quarterTurn(h: Value, groupSize: number): Value {
  const numPairs = (h.shape.at(-1) as number) / 2;
  const constant = (value: number): Value =>
    h.graph.constant("float32", [numPairs], new Float32Array(numPairs).fill(value));
  return rotatePairs(h, constant(0), constant(1), groupSize);
}
