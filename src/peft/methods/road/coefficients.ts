/**
 * @file What RoAd's parameters mean: one cosine and one sine for each output, or for each pair of them.
 *
 * Stored values follow the groups of outputs; a group of g holds g/2 of them for road_1, g for road_2, and for road_4 g of
 * the cosines and then g of the sines. Where only some groups are turned, the values of these alone are trained; the
 * others have cosine 1 and sine 0, and in a file the values of the start.
 */
import type { Value } from "../../../graph/graph.ts";
import { concat } from "../../../graph/ops/shapes/concat.ts";
import { cos, mul, sin } from "../../../graph/ops/pointwise/elementwise.ts";
import { reshape } from "../../../graph/ops/shapes/reshape.ts";
import { split } from "../../../graph/ops/rows/split.ts";

/** What is shared inside a pair: all of its block, its rows, nothing. */
export type RoadVariant = "road_1" | "road_2" | "road_4";

/** How the values of a site are laid out. */
export interface RoadLayout {
  readonly variant: RoadVariant;
  /** Number of outputs. */
  readonly width: number;
  /** Outputs of a group, even: output k of it is paired with k + groupSize/2. */
  readonly groupSize: number;
  /** The pairs that are turned, by whole groups. */
  readonly pairs: "all" | "lower" | "upper";
}

/** Stored values of θ, and of α, for each output. */
const PER_OUTPUT: Readonly<Record<RoadVariant, number>> = { road_1: 1 / 2, road_2: 1, road_4: 2 };

/** First and last group (not included) of the pairs that are turned. */
function turnedGroups({ width, groupSize, pairs }: RoadLayout): readonly [number, number] {
  const numGroups = width / groupSize;
  const middle = Math.floor(numGroups / 2);
  return [pairs === "upper" ? middle : 0, pairs === "lower" ? middle : numGroups];
}

/** Where the trained values of θ, and of α, begin and end (not included) among those of all groups. */
export function trainedRange(layout: RoadLayout): readonly [number, number] {
  const [first, end] = turnedGroups(layout);
  const perGroup = layout.groupSize * PER_OUTPUT[layout.variant];
  return [first * perGroup, end * perGroup];
}

/** Cosines and sines of all outputs, [width]; for road_1 of all pairs, [width/2]. The operation `rotatePairs` takes both. */
export function coefficientValues(theta: Value, alpha: Value, layout: RoadLayout): readonly [Value, Value] {
  const { variant, width, groupSize } = layout;
  const [first, end] = turnedGroups(layout);
  const perGroup = variant === "road_1" ? groupSize / 2 : groupSize;
  const halves = (x: Value): readonly Value[] => {
    if (variant !== "road_4") return [x, x];
    const parts = split(reshape(x, [end - first, 2, groupSize]), 1, [1, 1]);
    return parts.map((part) => reshape(part, [(end - first) * groupSize]));
  };
  const [cosAngle, sinAngle] = halves(theta) as [Value, Value];
  const [cosScale, sinScale] = halves(alpha) as [Value, Value];
  const whole = (x: Value, rest: number): Value => {
    const untouched = (numGroups: number): Value[] => {
      const values = new Float32Array(numGroups * perGroup).fill(rest);
      return numGroups === 0 ? [] : [x.graph.constant("float32", [values.length], values)];
    };
    return concat([...untouched(first), x, ...untouched(width / groupSize - end)], 0);
  };
  return [whole(mul(cosScale, cos(cosAngle)), 1), whole(mul(sinScale, sin(sinAngle)), 0)];
}

/** The trained values among those of all groups, which stand at `start` elsewhere; itself where all are trained. */
export function toAllGroups(trained: Float32Array, start: number, layout: RoadLayout): Float32Array {
  if (layout.pairs === "all") return trained;
  const all = new Float32Array(layout.width * PER_OUTPUT[layout.variant]).fill(start);
  all.set(trained, trainedRange(layout)[0]);
  return all;
}
