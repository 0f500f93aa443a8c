/**
 * @file Routers: how the experts of a token are chosen and weighed, of logits l [M, E].
 *
 *   p = softmax(l), or σ(l)      chosen are the k largest of p, or of p + b, of all or out of a few groups
 *   w = s p, or s p / Σ of the chosen p; each expert may have a factor of its own besides
 *
 * Papers: those of `experts.ts`; groups: "DeepSeek-V2", arXiv:2405.04434, section 2.2.2, and "DeepSeek-V3", arXiv:2412.19437,
 * section 2.1.2.
 */
import type { Value } from "../graph/graph.ts";
import { add, mul, sigmoid, sub } from "../graph/ops/pointwise/elementwise.ts";
import { maximum } from "../graph/ops/pointwise/maximum.ts";
import { softmax } from "../graph/ops/reductions/softmax.ts";
import { markLargest } from "../graph/ops/rows/mark-largest.ts";
import { reduceSum } from "../graph/ops/shapes/reduce-expand.ts";
import { reshape } from "../graph/ops/shapes/reshape.ts";
import { type Dim, mulDims, sizeAt } from "../graph/shape.ts";
import type { Builder, LinearOptions } from "./builder.ts";

/** How a router chooses. */
export interface Router {
  /** Logits [M, E] from x [M, D]; default: the projection `gate` behind `prefix`. */
  readonly logits?: (b: Builder, x: Value, numExperts: number, prefix: string) => Value;
  /** Chances of the experts, which weigh them. */
  readonly chances: (logits: Value) => Value;
  /** By what they are chosen instead of chances p, the tensors of the part behind `prefix`. */
  readonly ranks: (b: Builder, p: Value, prefix: string) => Value;
  /** By what chances are divided, from the sum of those chosen. */
  readonly total: (sum: Value) => Value;
  /** What all weights are multiplied with. */
  readonly factor: number;
  /** The tensor of a factor of each expert, [E], behind `prefix`; default: they have none. */
  readonly ofExperts?: string;
}

/** Logits by the projection of a name. */
export const projectedBy =
  (name: string, options: Pick<LinearOptions, "bias"> = {}): NonNullable<Router["logits"]> =>
  (b, x, numExperts, prefix) =>
    b.linear(prefix + name, x, numExperts, { role: "router", ...options });

/** Groups of equally many experts that follow each other, of which a token goes to a few: those whose best experts add up to most. */
export interface ExpertGroups {
  readonly numGroups: number;
  /** Groups of a token. */
  readonly numChosen: number;
  /** Experts of a group that are added up. */
  readonly numBest: 1 | 2;
}

/** Below all ranks. */
const LEAST = -1e30;

/** Ranks [M, E], far below those of others in groups to which a token does not go. */
function withinGroups(ranks: Value, groups: ExpertGroups | null): Value {
  if (groups === null || groups.numChosen === groups.numGroups) return ranks;
  const { numGroups: G, numChosen, numBest } = groups;
  const [M, E] = ranks.shape as [Dim, number];
  const all = mulDims(M, G);
  const byGroup = reshape(ranks, [all, E / G]);
  const sums = reduceSum(mul(byGroup, markLargest(byGroup, numBest)), [1]);
  const marks = markLargest(reshape(sums, [M, G]), numChosen);
  const { graph } = ranks;
  const below = mul(sub(graph.scalar(1), reshape(marks, [all, 1])), graph.scalar(LEAST));
  return reshape(add(byGroup, below), ranks.shape);
}

/** What most routers have in common. */
interface RouterOptions {
  /** What weights are multiplied with. */
  readonly factor?: number;
  /** Null: a token may go to all experts. */
  readonly groups?: ExpertGroups | null;
}

/** Chances that add up to 1. */
export function softmaxRouter({ factor = 1, groups = null }: RouterOptions = {}): Router {
  return {
    chances: softmax,
    ranks: (_b, p) => withinGroups(p, groups),
    total: (sum) => sum,
    factor,
  };
}

/** The same with biases [1, E] that count in choosing alone, the tensor `bias`; weights are divided by `least` at least. */
export function biasedSoftmaxRouter(options: { readonly bias: string; readonly least: number }): Router {
  return {
    ...softmaxRouter(),
    // A choice has no gradient.
    ranks: (b, p, prefix) => {
      const numExperts = sizeAt(p.shape, -1);
      return add(p, reshape(b.tensor(prefix + options.bias, [1, numExperts], "buffer"), [numExperts]));
    },
    total: (sum) => maximum(sum, sum.graph.scalar(options.least)),
  };
}

interface SigmoidOptions extends RouterOptions {
  /** What is added to the sum by which chances are divided. */
  readonly floor: number;
  /** The tensor of what is added to chances in choosing alone; null: there is none. */
  readonly bias: string | null;
}

/** Chances of each expert by itself. */
export function sigmoidRouter({ bias, floor, factor = 1, groups = null }: SigmoidOptions): Router {
  return {
    chances: sigmoid,
    // A choice has no gradient.
    ranks: (b, p, prefix) => {
      const all = bias === null ? p : add(p, b.tensor(prefix + bias, [sizeAt(p.shape, -1)], "buffer"));
      return withinGroups(all, groups);
    },
    total: (sum) => add(sum, sum.graph.scalar(floor)),
    factor,
  };
}
