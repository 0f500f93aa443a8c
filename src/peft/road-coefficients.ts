/**
 * @file What RoAd's parameters mean: one cosine and one sine for each output, or for each pair of them.
 *
 * Stored values follow the groups of outputs; a group of g holds g/2 of them for road_1, g for road_2, and for road_4 g of
 * the cosines and then g of the sines. An adapter of some of the pairs stores the values of their groups alone; the
 * others have cosine 1 and sine 0.
 */
import type { Value } from "../graph/graph.ts";
import { concat } from "../graph/ops/concat.ts";
import { cos } from "../graph/ops/cos.ts";
import { mul } from "../graph/ops/mul.ts";
import { reshape } from "../graph/ops/reshape.ts";
import { sin } from "../graph/ops/sin.ts";
import { split } from "../graph/ops/split.ts";

/** What is shared inside a pair: all of its block, its rows, nothing. */
export type RoadVariant = "road_1" | "road_2" | "road_4";

/** How the values of a site are laid out. */
export interface RoadLayout {
  readonly variant: RoadVariant;
  /** Outputs of a group, even: output k of it is paired with k + groupSize/2. */
  readonly groupSize: number;
  /** The pairs that are turned, by whole groups. */
  readonly pairs: "all" | "lower" | "upper";
}

/** First and last group (not included) of the pairs that are turned, among the groups of `width` outputs. */
export function turnedGroups(width: number, { groupSize, pairs }: RoadLayout): readonly [number, number] {
  const numGroups = width / groupSize;
  const middle = Math.floor(numGroups / 2);
  return [pairs === "upper" ? middle : 0, pairs === "lower" ? middle : numGroups];
}

/** Values of θ, and as many of α, for `width` outputs. */
export function numRoadValues(width: number, layout: RoadLayout): number {
  const [first, end] = turnedGroups(width, layout);
  const perOutput = { road_1: 1 / 2, road_2: 1, road_4: 2 }[layout.variant];
  return (end - first) * layout.groupSize * perOutput;
}

/** Cosines and sines of all outputs, [width]; for road_1 of all pairs, [width/2]. The operation `rotatePairs` takes both. */
export function coefficientValues(
  theta: Value,
  alpha: Value,
  width: number,
  layout: RoadLayout,
): readonly [Value, Value] {
  const { variant, groupSize } = layout;
  const [first, end] = turnedGroups(width, layout);
  const perGroup = variant === "road_1" ? groupSize / 2 : groupSize;
  const halves = (x: Value): readonly Value[] => {
    if (variant !== "road_4") return [x, x];
    const parts = split(reshape(x, [end - first, 2, groupSize]), 1, [1, 1]);
    return parts.map((part) => reshape(part, [(end - first) * groupSize]));
  };
  const [cosAngle, sinAngle] = halves(theta) as [Value, Value];
  const [cosScale, sinScale] = halves(alpha) as [Value, Value];
  const whole = (x: Value, rest: number): Value => {
    const numBefore = first * perGroup;
    const numAfter = (width / groupSize - end) * perGroup;
    const untouched = (count: number): Value[] =>
      count === 0 ? [] : [x.graph.constant("float32", [count], new Float32Array(count).fill(rest))];
    return concat([...untouched(numBefore), x, ...untouched(numAfter)], 0);
  };
  return [whole(mul(cosScale, cos(cosAngle)), 1), whole(mul(sinScale, sin(sinAngle)), 0)];
}

/** Cosine and sine of each of `width` outputs; fresh. */
export function coefficientsOf(
  theta: Float32Array,
  alpha: Float32Array,
  width: number,
  layout: RoadLayout,
): { readonly c: Float32Array; readonly s: Float32Array } {
  const { variant, groupSize: g } = layout;
  const [first, end] = turnedGroups(width, layout);
  const [c, s] = [new Float32Array(width).fill(1), new Float32Array(width)];
  for (let k = first * g; k < end * g; k++) {
    const group = Math.floor(k / g) - first;
    const place = k % g;
    const [ofCos, ofSin] = {
      road_1: [(group * g) / 2 + (place % (g / 2)), (group * g) / 2 + (place % (g / 2))],
      road_2: [group * g + place, group * g + place],
      road_4: [2 * group * g + place, 2 * group * g + place + g],
    }[variant] as [number, number];
    c[k] = (alpha[ofCos] as number) * Math.cos(theta[ofCos] as number);
    s[k] = (alpha[ofSin] as number) * Math.sin(theta[ofSin] as number);
  }
  return { c, s };
}
