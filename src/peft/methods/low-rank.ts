/**
 * @file What methods with two thin matrices a site share: options, tensors, start values, their forms in a file.
 *
 *   ΔW = s B A     A [R, in]  B [out, R]     s = α/R, or α/√R (rsLoRA, arXiv:2312.03732)
 *
 * Where A and B start from the weight, ΔW = s (B A - B₀ A₀) with frozen copies of the start: the base stays as it is,
 * and a file holds an ordinary adapter of twice the rank, A on A₀ and B beside -B₀.
 */
import { z } from "zod";
import { UsageError } from "../../errors.ts";
import type { Value } from "../../graph/graph.ts";
import { concat } from "../../graph/ops/concat.ts";
import { neg } from "../../graph/ops/neg.ts";
import type { SiteSpec } from "../../models/architecture.ts";
import { type HostTensor, hostTensor } from "../../runtime/host-tensor.ts";
import { LOW_RANK_STARTS, type LowRankStart, fillFactors, startsFromWeight } from "./low-rank-start.ts";
import type {
  FrozenSpec,
  ParameterSpec,
  SitePlace,
  SiteParameters,
  SiteStart,
  SiteTensors,
} from "../method.ts";
import { matchPattern } from "../targets.ts";

/** Fields of an options schema. */
export const LOW_RANK_FIELDS = {
  rank: z.int().min(1).default(8).describe("width R of the two thin matrices"),
  alpha: z.number().positive().default(16).describe("scale α; the update is multiplied by α/R"),
  dropout: z
    .number()
    .min(0)
    .lt(1)
    .default(0)
    .describe("share of the update's inputs that is dropped in training"),
  rslora: z.boolean().default(false).describe("scale by α/√R instead of α/R"),
  init: z
    .enum(LOW_RANK_STARTS)
    .default("default")
    .describe("how A and B start: A uniform or normal, or both from the weight"),
  rankPattern: z.record(z.string(), z.int().min(1)).default({}).describe("other ranks by module pattern"),
  alphaPattern: z
    .record(z.string(), z.number().positive())
    .default({})
    .describe("other scales by module pattern"),
  modulesToSave: z
    .array(z.string())
    .default([])
    .describe("modules that are trained whole and saved beside the adapter, by name or path"),
};
const FIELDS = z.strictObject(LOW_RANK_FIELDS);
export type LowRankOptions = z.output<typeof FIELDS>;

/** Options of one site. */
export interface LowRankSite {
  readonly rank: number;
  readonly scale: number;
  readonly dropout: number;
  readonly init: LowRankStart;
}

const LINEAR = ["lora_A.weight", "lora_B.weight"] as const;
const EMBEDDING = ["lora_embedding_A", "lora_embedding_B"] as const;
const FROZEN_A = "lora_A0.weight";
const FROZEN_B = "lora_B0.weight";

/** Names of A and B, for a projection and for an embedding. */
export const FACTOR_NAMES: readonly (readonly [string, string])[] = [LINEAR, EMBEDDING];

function namesOf({ kind }: SiteSpec): readonly [string, string] {
  return kind === "embedding" ? EMBEDDING : LINEAR;
}

/** The options of a site. @throws UsageError "usage/flag" when the start cannot be made there. */
export function configureLowRank(options: LowRankOptions, { path, spec }: SitePlace): LowRankSite {
  const rank = matchPattern(options.rankPattern, path) ?? options.rank;
  const alpha = matchPattern(options.alphaPattern, path) ?? options.alpha;
  const { dropout, init } = options;
  if (startsFromWeight(init)) {
    const { inFeatures, outFeatures, kind } = spec;
    const found =
      kind === "embedding"
        ? "an embedding, expected projections"
        : rank > Math.min(inFeatures, outFeatures)
          ? `rank ${rank}, expected at most ${Math.min(inFeatures, outFeatures)}`
          : null;
    if (found) {
      throw new UsageError("usage/flag", `Cannot start "${path}" from its weight ("${init}"): ${found}`, {
        hint: "Choose another init, or other target modules",
      });
    }
  }
  return { rank, scale: alpha / (options.rslora ? Math.sqrt(rank) : rank), dropout, init };
}

/** A and B of a site. */
export function lowRankParameters(site: SiteSpec, { rank }: LowRankSite): ParameterSpec[] {
  const [a, b] = namesOf(site);
  return [
    { suffix: a, shape: [rank, site.inFeatures] },
    { suffix: b, shape: [site.outFeatures, rank] },
  ];
}

/** The copies of the start that are subtracted. */
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

/** Fills A and B of a site; returns the copies that are subtracted. */
export async function startLowRank(site: SiteStart, { init, scale }: LowRankSite): Promise<SiteTensors> {
  const [a, b] = namesOf(site.spec);
  const [down, up] = [site.trained[a]!, site.trained[b]!];
  await fillFactors({ down, up }, site, init, scale);
  if (!startsFromWeight(init)) return {};
  const copy = ({ shape, data }: HostTensor<"float32">): HostTensor<"float32"> =>
    hostTensor("float32", shape, data.slice());
  return { [FROZEN_A]: copy(down), [FROZEN_B]: copy(up) };
}

/** Values `down` [.., R', in] and `up` [.., out, R'] with ΔW = s · up · down; leading axes stay. */
export function lowRankFactors(parameters: SiteParameters, site: SiteSpec): { down: Value; up: Value } {
  const [a, b] = namesOf(site);
  const [down, up] = [parameters[a]!, parameters[b]!];
  const [frozenDown, frozenUp] = [parameters[FROZEN_A], parameters[FROZEN_B]];
  if (!frozenDown || !frozenUp) return { down, up };
  const axes = down.shape.length;
  return {
    down: concat([down, frozenDown], axes - 2),
    up: concat([up, neg(frozenUp)], axes - 1),
  };
}

/** What a file holds of a site: an ordinary adapter. Other tensors stay as they are. */
export function lowRankToFile({ [FROZEN_A]: a0, [FROZEN_B]: b0, ...others }: SiteTensors): SiteTensors {
  if (!a0 || !b0) return others;
  const [a, b] = LINEAR;
  const [down, up] = [others[a]!, others[b]!];
  const [rank, inFeatures] = down.shape as [number, number];
  const outFeatures = up.shape[0] as number;
  const bothDown = new Float32Array(2 * rank * inFeatures);
  bothDown.set(down.data);
  bothDown.set(a0.data, down.data.length);
  const bothUp = new Float32Array(2 * rank * outFeatures);
  for (let row = 0; row < outFeatures; row++) {
    const from = row * rank;
    bothUp.set(up.data.subarray(from, from + rank), 2 * from);
    bothUp.set(
      b0.data.subarray(from, from + rank).map((value) => -value),
      2 * from + rank,
    );
  }
  return {
    ...others,
    [a]: hostTensor("float32", [2 * rank, inFeatures], bothDown),
    [b]: hostTensor("float32", [outFeatures, 2 * rank], bothUp),
  };
}

/**
 * The reverse of `lowRankToFile` for an adapter with these options. A file with half of it, A and B alone as PEFT saves
 * them without conversion, stands on the start that was made here.
 */
export function lowRankFromFile(held: SiteTensors, { rank, init }: LowRankSite): SiteTensors {
  const [a, b] = LINEAR;
  const [down, up] = [held[a], held[b]];
  if (!startsFromWeight(init) || !down || !up || down.shape[0] !== 2 * rank || up.shape[1] !== 2 * rank)
    return held;
  const [inFeatures, outFeatures] = [down.shape[1] as number, up.shape[0] as number];
  const half = (from: number, sign: number): Float32Array<ArrayBuffer> =>
    Float32Array.from({ length: outFeatures * rank }, (_, i) => {
      const [row, column] = [Math.floor(i / rank), i % rank];
      return sign * up.data[2 * rank * row + from + column]!;
    });
  const size = rank * inFeatures;
  return {
    ...held,
    [a]: hostTensor("float32", [rank, inFeatures], down.data.slice(0, size)),
    [b]: hostTensor("float32", [outFeatures, rank], half(0, 1)),
    [FROZEN_A]: hostTensor("float32", [rank, inFeatures], down.data.slice(size)),
    [FROZEN_B]: hostTensor("float32", [outFeatures, rank], half(rank, -1)),
  };
}

/** A and B with the scale in B: with zeros beyond their rank, adapters of any rank and scale share a batch. */
export function lowRankRowForm(
  tensors: SiteTensors,
  site: SiteSpec,
  { scale }: LowRankSite,
): { tensors: SiteTensors; options: LowRankSite } {
  const [a, b] = namesOf(site);
  const { [a]: down, [b]: up } = lowRankToFile(tensors);
  const scaled = up!.data.map((value) => scale * value);
  return {
    tensors: { [a]: down!, [b]: hostTensor("float32", up!.shape, scaled) },
    options: { rank: 0, scale: 1, dropout: 0, init: "default" },
  };
}
