/**
 * @file Routers: how the experts of a token are chosen and weighted, from logits l [M, E].
 *
 *   p = softmax(l), or σ(l)      chosen are the k largest of p or p + b, among all experts or those of a few groups
 *   w = s p, or s p / Σ of the chosen p; each expert may also have a factor of its own
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
  /** Builds logits [M, E] from x [M, D]; default: the projection `gate` after `prefix`. */
  readonly logits?: (b: Builder, x: Value, numExperts: number, prefix: string) => Value;
  /** Turns logits into the probabilities p, which are the weights of experts. */
  readonly chances: (logits: Value) => Value;
  /** Builds the ranks by which experts are chosen from p; names of tensors begin with `prefix`. */
  readonly ranks: (b: Builder, p: Value, prefix: string) => Value;
  /** Builds the divisor of the weights from their sum over the chosen experts. */
  readonly total: (sum: Value) => Value;
  /** Multiplies all weights. */
  readonly factor: number;
  /** Name, after `prefix`, of a tensor [E] with a factor for each expert; default: there is none. */
  readonly ofExperts?: string;
}

/** Builds logits by the projection of the given name. */
export const projectedBy =
  (name: string, options: Pick<LinearOptions, "bias"> = {}): NonNullable<Router["logits"]> =>
  (b, x, numExperts, prefix) =>
    b.linear(prefix + name, x, numExperts, { role: "router", ...options });

/** Equal groups of consecutive experts. A token goes to the few groups whose best experts have the largest sum. */
export interface ExpertGroups {
  readonly numGroups: number;
  /** Groups chosen for a token. */
  readonly numChosen: number;
  /** How many of a group's best experts are summed. */
  readonly numBest: 1 | 2;
}

/** Below all ranks. */
const LEAST = -1e30;

/** Lowers the ranks [M, E] of experts in groups that were not chosen below all others. */
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
  /** Multiplies all weights; default: 1. */
  readonly factor?: number;
  /** Null: a token may go to all experts. */
  readonly groups?: ExpertGroups | null;
}

/** A router whose probabilities add up to 1. */
export function softmaxRouter({ factor = 1, groups = null }: RouterOptions = {}): Router {
  return {
    chances: softmax,
    ranks: (_b, p) => withinGroups(p, groups),
    total: (sum) => sum,
    factor,
  };
}

/** The same with biases [1, E] in the tensor `bias`, which only affect the choice; the divisor of weights is at least `least`. */
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
  /** Added to the divisor of the weights. */
  readonly floor: number;
  /** Name of a tensor that is added to p only for the choice; null: there is none. */
  readonly bias: string | null;
}

/** A router with a separate sigmoid for each expert. */
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
