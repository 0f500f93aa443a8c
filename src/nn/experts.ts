/**
 * @file A feed-forward part with many experts, k of which a router chooses for each token (`routers.ts`).
 *
 *   p = softmax(Wr x)      y = Σ_(e among the k largest of p) w_e expert_e(x)      w = p, or p / Σ of the chosen p
 *
 * Papers: "Qwen3 Technical Report", arXiv:2505.09388, section 2; "OLMoE", arXiv:2409.02060, eq. 1 and 2. An expert's products run
 * on the rows that chose it, and on no others; the rows are sorted by expert once for all. Running a program for each expert
 * instead is slower, except for a single token: docs/log.md#experts.
 */
import type { Value } from "../graph/graph.ts";
import { add, div, mul, sigmoid } from "../graph/ops/pointwise/elementwise.ts";
import { gatherRows } from "../graph/ops/rows/gather-scatter.ts";
import { reduceSum } from "../graph/ops/shapes/reduce-expand.ts";
import { reshape, reshapeLike } from "../graph/ops/shapes/reshape.ts";
import { repeatRows, sumRepeats } from "../graph/ops/rows/repeat-rows.ts";
import { routeRows } from "../graph/ops/rows/route-rows.ts";
import { joinRows } from "../graph/ops/rows/split-rows.ts";
import { transpose } from "../graph/ops/shapes/transpose.ts";
import { type Dim, mulDims } from "../graph/shape.ts";
import type { Builder } from "./builder.ts";
import { type MlpOptions, gatedMlp } from "./gated-mlp.ts";
import { type Router, projectedBy, softmaxRouter } from "./routers.ts";
import { scale } from "./scale.ts";

/** One of the experts behind `prefix`. */
interface ExpertPlace {
  readonly prefix: string;
  readonly numExperts: number;
  readonly index: number;
}

/** Builds an expert of x [N, D]. */
export type ExpertBuilder = (b: Builder, x: Value, place: ExpertPlace) => Value;

/** How experts are chosen, and what each of them is. */
interface ExpertsOptions {
  readonly numExperts: number;
  /** Experts of a token. */
  readonly numChosen: number;
  /** Their weights add up to 1. */
  readonly normalizes: boolean;
  /** Default: a softmax. */
  readonly router?: Router;
  /** A gated part with projections of its own, or a builder of another kind of expert. */
  readonly expert: MlpOptions | ExpertBuilder;
}

const GATE = projectedBy("gate");

/** The places of one expert's matrices in the stacks of all. */
function stacksOf(prefix: string, numExperts: number, expert: number): Required<MlpOptions>["stacks"] {
  const gateUp = { name: `${prefix}gate_up_proj`, role: "gate-up", numExperts, numParts: 2 } as const;
  const down = { name: `${prefix}down_proj`, role: "down", numExperts, numParts: 1 } as const;
  return {
    gate: { ...gateUp, index: 2 * expert },
    up: { ...gateUp, index: 2 * expert + 1 },
    down: { ...down, index: expert },
  };
}

const gatedExpert =
  (options: MlpOptions): ExpertBuilder =>
  (b, x, { prefix, numExperts, index }) =>
    gatedMlp(b, x, `${prefix}${index}.`, { ...options, stacks: stacksOf(prefix, numExperts, index) });

/** Builds the part from x [B, T, D]. After `prefix` the names are `gate` for the router, unless it has another, and `experts.N.`. */
export function experts(b: Builder, x: Value, prefix: string, options: ExpertsOptions): Value {
  const { numExperts: E, numChosen, normalizes, router = softmaxRouter(), expert } = options;
  const [B, T, D] = x.shape as [Dim, Dim, number];
  const M = mulDims(B, T);
  const flat = reshape(x, [M, D]);
  const p = router.chances((router.logits ?? GATE)(b, flat, E, prefix)); // [M, E]
  const [chosen, rows, places, counts] = routeRows(router.ranks(b, p, prefix), numChosen);
  const shares = normalizes ? div(p, router.total(reduceSum(mul(p, chosen), [1]))) : p;
  const own = router.ofExperts;
  const factored = own === undefined ? shares : mul(shares, b.tensor(prefix + own, [E], "weight"));
  const weights = scale(factored, router.factor);
  const weightOf = gatherRows(reshape(transpose(weights, [1, 0]), [mulDims(E, M), 1]), places); // [k·M, 1]
  const inputs = repeatRows(flat, rows, numChosen); // [k·M, D]
  const build = typeof expert === "function" ? expert : gatedExpert(expert);
  const place = { prefix: `${prefix}experts.`, numExperts: E };
  const outputs = b
    .splitRows(inputs, counts, E, numChosen)
    .map((part, index) => build(b, part, { ...place, index }));
  const weighted = mul(joinRows(outputs, inputs, counts), weightOf);
  return reshapeLike(sumRepeats(weighted, rows, flat, numChosen), x);
}

/**
 * Builds the part together with an expert shared by all tokens: y + σ(Wg x) ∘ expert(x). Names: `shared_expert`, and
 * `shared_expert_gate` for its gate of one output.
 */
export function expertsBesideShared(
  b: Builder,
  x: Value,
  prefix: string,
  { shared, ...options }: ExpertsOptions & { readonly shared: MlpOptions },
): Value {
  const chosen = experts(b, x, prefix, options);
  const share = sigmoid(b.linear(`${prefix}shared_expert_gate`, x, 1, { role: "router" }));
  return add(chosen, mul(gatedMlp(b, x, `${prefix}shared_expert.`, shared), share));
}
