/**
 * @file What methods with two thin matrices per site share: options, tensors, initial values.
 *
 *   ΔW = s B A     A [R, in]  B [out, R]     s = α/R, or α/√R (rsLoRA, arXiv:2312.03732)
 *
 * If A and B start from the weight, ΔW = s (B A - B₀ A₀) with frozen copies of the start. The base does not change, and a file
 * holds an ordinary adapter of twice the rank, A above A₀ and B beside -B₀.
 */
import { z } from "zod";
import { UsageError } from "../../errors.ts";
import type { Value } from "../../graph/graph.ts";
import { concat } from "../../graph/ops/shapes/concat.ts";
import { neg } from "../../graph/ops/pointwise/elementwise.ts";
import type { SiteSpec } from "../../models/graphs/sites.ts";
import type { Random } from "../../random.ts";
import { LOW_RANK_STARTS, type LowRankStart, fillFactors, startsFromWeight } from "./start.ts";
import { ALL_LINEAR, type MethodTargets } from "../method.ts";
import type { FrozenSpec, ParameterSpec, SitePlace, SiteStart, SiteValues } from "../sites/site.ts";
import { patternValues } from "../sites/targets.ts";
import type { TrainedTokens } from "../trained-base/trained-tokens.ts";
import { MODULES_TO_SAVE, WHOLE_MODULES } from "../trained-base/whole-modules.ts";

/** Fields of an options schema. */
export const LOW_RANK_FIELDS = {
  rank: z.int().min(1).default(8).describe("rank R of the two thin matrices"),
  alpha: z.number().positive().default(16).describe("scale α; the update is multiplied by α/R"),
  dropout: z.number().min(0).lt(1).default(0).describe("dropout on the inputs of the update, in training"),
  rslora: z.boolean().default(false).describe("scale by α/√R instead of α/R"),
  init: z
    .enum(LOW_RANK_STARTS)
    .default("default")
    .describe("initialization of A and B: A uniform or normal, or both from the weight"),
  rankPattern: z.record(z.string(), z.int().min(1)).default({}).describe("different ranks by module pattern"),
  alphaPattern: z
    .record(z.string(), z.number().positive())
    .default({})
    .describe("different scales by module pattern"),
  ...MODULES_TO_SAVE,
  bias: z
    .enum(["none", "all", "lora_only"])
    .default("none")
    .describe("biases of the base to train as well: none, all, or those of the adapted modules"),
};
const FIELDS = z.strictObject(LOW_RANK_FIELDS);
/**
 * Options of only some methods: `loraBias`, a bias of the second matrix; `targetParameters` (`stacks.ts`);
 * `trainableTokenIndices` (`trained-tokens.ts`).
 */
export type LowRankOptions = z.output<typeof FIELDS> & {
  readonly loraBias?: boolean;
  readonly targetParameters?: readonly string[];
  readonly trainableTokenIndices?: TrainedTokens;
};

export const LOW_RANK_TARGETS: MethodTargets<LowRankOptions> = {
  ...ALL_LINEAR,
  ...WHOLE_MODULES,
  trainedBiases: ({ bias }) => (bias === "lora_only" ? "adapted" : bias),
  trainedTokens: ({ trainableTokenIndices = [] }) => trainableTokenIndices,
};

/** Options of one site. */
export interface LowRankSite {
  readonly rank: number;
  readonly scale: number;
  readonly dropout: number;
  readonly init: LowRankStart;
  /** Whether there is a bias b: ΔW x + s b. */
  readonly ownBias: boolean;
}

export const LINEAR_NAMES = ["lora_A.weight", "lora_B.weight"] as const;
const EMBEDDING_NAMES = ["lora_embedding_A", "lora_embedding_B"] as const;
export const FROZEN_A = "lora_A0.weight";
export const FROZEN_B = "lora_B0.weight";
export const OWN_BIAS = "lora_B.bias";

/** Names of A and B, for a projection and for an embedding. */
export const FACTOR_NAMES: readonly (readonly [string, string])[] = [LINEAR_NAMES, EMBEDDING_NAMES];

/** Names of A and B at a site. */
export function namesOf({ kind }: SiteSpec): readonly [string, string] {
  return kind === "embedding" ? EMBEDDING_NAMES : LINEAR_NAMES;
}

/** Returns a function that gives the options of a site; it throws a UsageError "usage/flag" where the start cannot be made. */
export function configureLowRank(options: LowRankOptions): (place: SitePlace) => LowRankSite {
  const [rankOf, alphaOf] = [patternValues(options.rankPattern), patternValues(options.alphaPattern)];
  return (place) => {
    const name = place.parameter ?? place.path;
    return lowRankSite(options, rankOf(name) ?? options.rank, alphaOf(name) ?? options.alpha, place);
  };
}

function lowRankSite(
  { dropout, init, rslora, loraBias: ownBias = false }: LowRankOptions,
  rank: number,
  alpha: number,
  { path, spec }: SitePlace,
): LowRankSite {
  if (ownBias && spec.kind === "embedding") {
    throw new UsageError("usage/flag", `Cannot give the adapter of "${path}" a bias: it is an embedding`, {
      hint: "Leave loraBias out, or the embedding out of the target modules.",
    });
  }
  if (startsFromWeight(init)) {
    const { inFeatures, outFeatures, kind } = spec;
    const largest = Math.min(inFeatures, outFeatures);
    const refusal = (found: string, hint: string): UsageError =>
      new UsageError("usage/flag", `Cannot start "${path}" from its weight ("${init}"): ${found}`, { hint });
    if (kind === "embedding")
      throw refusal("an embedding, expected projections", "Choose another init, or other target modules.");
    if (rank > largest)
      throw refusal(
        `rank ${rank}, expected at most ${largest}`,
        `Choose a rank of at most ${largest}, another init, or other target modules.`,
      );
  }
  return { rank, scale: alpha / (rslora ? Math.sqrt(rank) : rank), dropout, init, ownBias };
}

/** A and B of a site, or of all experts of a stack, and the bias of B if there is one. */
export function lowRankParameters(site: SiteSpec, { rank, ownBias }: LowRankSite): ParameterSpec[] {
  const [a, b] = namesOf(site);
  const all = rank * (site.kind === "stack" ? site.stack!.numExperts : 1);
  return [
    { suffix: a, shape: [all, site.inFeatures] },
    { suffix: b, shape: [site.outFeatures, all] },
    ...(ownBias ? [{ suffix: OWN_BIAS, shape: [site.outFeatures] }] : []),
  ];
}

/** The copies of the start, which are subtracted. */
export function lowRankFrozen(
  { inFeatures, outFeatures }: SiteSpec,
  { rank, init }: LowRankSite,
): FrozenSpec[] {
  if (!startsFromWeight(init)) return [];
  const own = { dtype: "float32", shared: false, saved: true } as const;
  return [
    { suffix: FROZEN_A, shape: [rank, inFeatures], ...own },
    { suffix: FROZEN_B, shape: [outFeatures, rank], ...own },
  ];
}

/** Fills A and B of a site, and the copies that are subtracted. */
export async function initLowRank(
  site: SiteStart,
  { init, rank, scale }: LowRankSite,
  random: Random,
): Promise<void> {
  const [a, b] = namesOf(site.spec);
  const [down, up] = [site.tensors[a]!, site.tensors[b]!];
  await fillFactors({ down, up }, site, { start: init, rank, scale }, random);
  site.tensors[FROZEN_A]?.data.set(down.data);
  site.tensors[FROZEN_B]?.data.set(up.data);
}

/** Returns `down` [.., R', in] and `up` [.., out, R'] with ΔW = s · up · down; leading axes are kept. */
export function lowRankFactors(values: SiteValues, site: SiteSpec): { down: Value; up: Value } {
  const [a, b] = namesOf(site);
  const [down, up] = [values[a]!, values[b]!];
  const [frozenDown, frozenUp] = [values[FROZEN_A], values[FROZEN_B]];
  if (!frozenDown || !frozenUp) return { down, up };
  const axes = down.shape.length;
  return { down: concat([down, frozenDown], axes - 2), up: concat([up, neg(frozenUp)], axes - 1) };
}
