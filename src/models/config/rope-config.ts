/** @file Rotary settings of configuration files: `rope_parameters` of transformers 5, or the keys of transformers 4. */
import { z } from "zod";
import { findProblems, listProblems } from "../../messages/problems.ts";
import type { RopeConfig } from "../../nn/rope/rope-tables.ts";
import type { RopeScaling } from "../../nn/rope/rope-scaling.ts";
import type { RawConfig } from "../family.ts";
import { unusable } from "./hf-config.ts";

const positive = z.number().positive();

const SETTINGS = z.strictObject({
  rope_type: z.string().optional(),
  type: z.string().optional(),
  rope_theta: positive.optional(),
  partial_rotary_factor: positive.optional(),
  factor: positive.nullish(),
  low_freq_factor: z.number().optional(),
  high_freq_factor: z.number().optional(),
  original_max_position_embeddings: positive.optional(),
  attention_factor: positive.nullish(),
  beta_fast: positive.nullish(),
  beta_slow: positive.nullish(),
  mscale: positive.nullish(),
  mscale_all_dim: positive.nullish(),
  truncate: z.boolean().optional(),
  short_factor: z.array(positive).optional(),
  long_factor: z.array(positive).optional(),
  short_mscale: positive.nullish(),
  long_mscale: positive.nullish(),
});
type Settings = z.output<typeof SETTINGS>;

/** Where rotary settings may differ from the plain ones of a model. */
export interface RopeDefaults {
  /** The base of these layers where `rope_parameters` has none. */
  readonly theta: number;
  /** Entry of `rope_parameters` for these layers; by default it is not divided by kinds of layers. */
  readonly layerType?: string;
  /** Whether files of transformers 4 mean these layers by `rope_scaling`; default: they do. */
  readonly isScaled?: boolean;
}

/** Reads how heads of this width are rotated. @throws UsageError "usage/model" */
export function readRope(
  raw: RawConfig,
  headWidth: number,
  { theta: ownTheta, layerType, isScaled = true }: RopeDefaults,
): RopeConfig {
  const all = raw["rope_parameters"] as Readonly<Record<string, unknown>> | null | undefined;
  const ofLayers = layerType === undefined ? all : ((all?.[layerType] ?? null) as typeof all);
  const given = ofLayers ?? (isScaled ? raw["rope_scaling"] : null) ?? {};
  const problems = listProblems(findProblems(SETTINGS, given));
  if (problems.length > 0) throw unusable(raw, `rotary settings cannot be used: ${problems.join("; ")}`);
  const settings = SETTINGS.parse(given);
  const theta = settings.rope_theta ?? ownTheta;
  const share = settings.partial_rotary_factor ?? Number(raw["partial_rotary_factor"] ?? 1);
  const width = Math.floor(headWidth * share);
  if (!(width > 0 && width <= headWidth)) {
    throw unusable(
      raw,
      `partial_rotary_factor is ${share}, expected a share of the heads' width ${headWidth}`,
    );
  }
  return { theta, width, scaling: readScaling(settings, raw, width / 2) };
}

function readScaling(settings: Settings, raw: RawConfig, numPairs: number): RopeScaling {
  const kind = settings.rope_type ?? settings.type ?? "default";
  const need = (name: keyof Settings): number => {
    const value = settings[name];
    if (typeof value !== "number") throw unusable(raw, `rope scaling "${kind}" has no ${name}`);
    return value;
  };
  const maxPositions = Number(raw["max_position_embeddings"]);
  switch (kind) {
    case "default":
      return { kind: "none" };
    case "linear":
      return { kind: "linear", factor: need("factor") };
    case "llama3":
      return {
        kind: "llama3",
        factor: need("factor"),
        lowFrequencyFactor: need("low_freq_factor"),
        highFrequencyFactor: need("high_freq_factor"),
        originalMaxPositions: need("original_max_position_embeddings"),
      };
    case "yarn":
      return {
        kind: "yarn",
        factor: need("factor"),
        betaFast: settings.beta_fast ?? 32,
        betaSlow: settings.beta_slow ?? 1,
        originalMaxPositions: settings.original_max_position_embeddings ?? maxPositions,
        attentionFactor: settings.attention_factor ?? yarnAttention(settings, need("factor")),
        truncate: settings.truncate ?? true,
      };
    case "su":
    case "longrope":
      return readLongRope(settings, raw, numPairs);
    default:
      throw unusable(raw, `rope scaling "${kind}", expected default, linear, llama3, yarn or longrope`);
  }
}

/** YaRN's factor on the attention of a context that is `factor` times as long, eq. 22 of its paper. */
function yarnAttention({ mscale, mscale_all_dim: ofAll }: Settings, factor: number): number {
  const of = (m: number): number => (factor <= 1 ? 1 : 0.1 * m * Math.log(factor) + 1);
  return mscale && ofAll ? of(mscale) / of(ofAll) : of(1);
}

function readLongRope(settings: Settings, raw: RawConfig, numPairs: number): RopeScaling {
  const { short_factor: shortFactors, long_factor: longFactors } = settings;
  if (shortFactors?.length !== numPairs || longFactors?.length !== numPairs) {
    throw unusable(
      raw,
      `rope scaling "longrope" has ${shortFactors?.length ?? 0} short and ${longFactors?.length ?? 0} long factors, expected ${numPairs} of both`,
    );
  }
  const maxPositions = Number(raw["max_position_embeddings"]);
  const original = Number(
    raw["original_max_position_embeddings"] ?? settings.original_max_position_embeddings ?? maxPositions,
  );
  const factor = raw["original_max_position_embeddings"]
    ? maxPositions / original
    : (settings.factor ?? maxPositions / original);
  return {
    kind: "longrope",
    shortFactors,
    longFactors,
    originalMaxPositions: original,
    attentionFactor:
      settings.attention_factor ?? (factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original))),
  };
}
