/**
 * @file Converts RoAd's parameters to one cosine and one sine for each output, or for each pair.
 *
 * Stored values follow the groups of outputs; a group of g holds g/2 of them for road_1, g for road_2, and for road_4 g of the
 * cosines and then g of the sines. If only some groups are rotated, only their values are trained; the others have cosine 1 and
 * sine 0, and their initial values in a file.
 */
import type { Value } from "../../../graph/graph.ts";
import { concat } from "../../../graph/ops/shapes/concat.ts";
import { cos, mul, sin } from "../../../graph/ops/pointwise/elementwise.ts";
import { reshape } from "../../../graph/ops/shapes/reshape.ts";
import { split } from "../../../graph/ops/rows/split.ts";

/** What a pair shares: one θ and α for the whole block (road_1), for each row (road_2), or for each entry (road_4). */
export type RoadVariant = "road_1" | "road_2" | "road_4";

/** How the values of a site are laid out. */
export interface RoadLayout {
  readonly variant: RoadVariant;
  /** Number of outputs. */
  readonly width: number;
  /** Outputs of a group, even: output k of it is paired with k + groupSize/2. */
  readonly groupSize: number;
  /** The pairs that are rotated, in whole groups. */
  readonly pairs: "all" | "lower" | "upper";
}

/** Stored values of θ, and of α, for each output. */
const PER_OUTPUT: Readonly<Record<RoadVariant, number>> = { road_1: 1 / 2, road_2: 1, road_4: 2 };

/** The range of groups, end exclusive, that are rotated. */
function turnedGroups({ width, groupSize, pairs }: RoadLayout): readonly [number, number] {
  const numGroups = width / groupSize;
  const middle = Math.floor(numGroups / 2);
  return [pairs === "upper" ? middle : 0, pairs === "lower" ? middle : numGroups];
}

/** The range, end exclusive, of the trained values of θ, and of α, among those of all groups. */
export function trainedRange(layout: RoadLayout): readonly [number, number] {
  const [first, end] = turnedGroups(layout);
  const perGroup = layout.groupSize * PER_OUTPUT[layout.variant];
  return [first * perGroup, end * perGroup];
}

/** Builds cosines and sines of all outputs, [width]; for road_1 of all pairs, [width/2]. `rotatePairs` accepts both. */
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

/** Extends trained values to all groups, with `start` elsewhere; returns `trained` itself if all are trained. */
export function toAllGroups(trained: Float32Array, start: number, layout: RoadLayout): Float32Array {
  if (layout.pairs === "all") return trained;
  const all = new Float32Array(layout.width * PER_OUTPUT[layout.variant]).fill(start);
  all.set(trained, trainedRange(layout)[0]);
  return all;
}
