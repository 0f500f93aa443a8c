/** @file Rotary settings of configuration files: `rope_parameters` of transformers 5, or the keys of transformers 4. */
import { z } from "zod";
import { findProblems, listProblems } from "../../messages/problems.ts";
import type { RopeConfig } from "../../nn/rope/rope-tables.ts";
import { type RopeScaling, yarnAttention } from "../../nn/rope/rope-scaling.ts";
import type { RawConfig } from "./raw-config.ts";
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
  // 0 means none.
  mscale: z.number().nonnegative().nullish(),
  mscale_all_dim: z.number().nonnegative().nullish(),
  truncate: z.boolean().optional(),
  short_factor: z.array(positive).optional(),
  long_factor: z.array(positive).optional(),
  short_mscale: positive.nullish(),
  long_mscale: positive.nullish(),
  // Ignored: positions of images. Text tokens have one position for all parts of a head.
  mrope_section: z.unknown().optional(),
  mrope_interleaved: z.unknown().optional(),
  // Ignored, as by transformers: settings of other programs.
  finetuned: z.boolean().nullish(),
  attn_factor: positive.nullish(),
});
type Settings = z.output<typeof SETTINGS>;

/** Defaults of rotary settings, and which settings apply. */
interface RopeDefaults {
  /** The base for these layers if `rope_parameters` has none. */
  readonly theta: number;
  /** Positions of the model; also the default for those it was originally trained on. */
  readonly maxPositions: number;
  /** Entry of `rope_parameters` for these layers; default: it is not divided by kinds of layers. */
  readonly layerType?: string;
  /** Whether `rope_scaling` in files of transformers 4 applies to these layers; default: yes. */
  readonly isScaled?: boolean;
  /** The share of each head that is rotated if `rope_parameters` has none; absent: the family always rotates whole heads. */
  readonly share?: number | undefined;
}

/** Reads how heads of this width are rotated. @throws UsageError "usage/model" */
export function readRope(
  raw: RawConfig,
  headWidth: number,
  { theta: ownTheta, maxPositions, layerType, isScaled = true, share: ownShare }: RopeDefaults,
): RopeConfig {
  type Found = Readonly<Record<string, unknown>> | null | undefined;
  const all = raw["rope_parameters"] as Found;
  const added = (isScaled ? raw["rope_scaling"] : null) as Found;
  // `rope_scaling` in a file of transformers 5 was added by hand, so it takes precedence.
  const given = layerType === undefined ? (added ?? all ?? {}) : { ...(all?.[layerType] as Found), ...added };
  const problems = listProblems(findProblems(SETTINGS, given));
  if (problems.length > 0) throw unusable(raw, `rotary settings cannot be used: ${problems.join("; ")}`);
  const settings = SETTINGS.parse(given);
  const theta = settings.rope_theta ?? ownTheta;
  const part = settings.partial_rotary_factor ?? ownShare ?? 1;
  // In "proportional" the last pairs are not rotated, but pairs are still formed from halves of the whole head.
  const share = kindOf(settings) === "proportional" && part <= 1 ? 1 : part;
  const isPartial = ownShare !== undefined;
  const width = Math.floor(headWidth * share);
  const scaling = readScaling(settings, raw, maxPositions, width / 2);
  if (!(width > 0 && width <= headWidth && width % 2 === 0 && (isPartial || width === headWidth))) {
    const expected = isPartial
      ? `a share of the heads' width ${headWidth} that is an even number`
      : "1: heads of this family are rotated as a whole";
    throw unusable(raw, `partial_rotary_factor is ${share} (expected ${expected})`);
  }
  return { theta, width, scaling };
}

const kindOf = ({ rope_type: kind, type }: Settings): string => kind ?? type ?? "default";

/**
 * Reads the rotation of layers without and with a window; the bases are defaults. `rope_scaling` of transformers 4 applies only
 * to layers without one.
 * @throws UsageError "usage/model"
 */
export function readRopes(
  raw: RawConfig,
  headWidth: number,
  base: { readonly maxPositions: number; readonly theta: number; readonly windowTheta: number },
): { readonly rope: RopeConfig; readonly windowRope: RopeConfig } {
  const { maxPositions } = base;
  const of = (layerType: string, theta: number, isScaled: boolean): RopeConfig =>
    readRope(raw, headWidth, { maxPositions, layerType, theta, isScaled });
  return {
    rope: of("full_attention", base.theta, true),
    windowRope: of("sliding_attention", base.windowTheta, false),
  };
}

/** The settings that a scaling is read from. */
interface ScalingSource {
  readonly settings: Settings;
  readonly raw: RawConfig;
  readonly maxPositions: number;
  readonly originalMaxPositions: number;
  readonly numPairs: number;
  /** Returns a number that the scaling requires. @throws UsageError "usage/model" if it is missing */
  readonly need: (name: keyof Settings) => number;
}

const readNone = (): RopeScaling => ({ kind: "none" });

/** Readers by the name of the scaling in files. */
const SCALINGS: Readonly<Record<string, (source: ScalingSource) => RopeScaling>> = {
  default: readNone,
  // Images have positions in two dimensions and time, texts in one.
  mrope: readNone,
  // Differs from the default only beyond the model's positions, which no text reaches.
  dynamic: readNone,
  linear: ({ need }) => ({ kind: "linear", factor: need("factor") }),
  llama3: ({ need, originalMaxPositions }) => ({
    kind: "llama3",
    factor: need("factor"),
    lowFrequencyFactor: need("low_freq_factor"),
    highFrequencyFactor: need("high_freq_factor"),
    originalMaxPositions,
  }),
  // Null is a factor that follows from both lengths; a file without the key has none.
  yarn: ({ settings, need, maxPositions, originalMaxPositions }) =>
    readYarn(
      settings,
      settings.factor === null ? maxPositions / originalMaxPositions : need("factor"),
      originalMaxPositions,
    ),
  su: readLongRope,
  longrope: readLongRope,
  proportional: ({ settings, numPairs }) => ({
    kind: "proportional",
    factor: settings.factor ?? 1,
    numTurning: Math.floor((settings.partial_rotary_factor ?? 1) * numPairs),
  }),
};

function readScaling(
  settings: Settings,
  raw: RawConfig,
  maxPositions: number,
  numPairs: number,
): RopeScaling {
  const kind = kindOf(settings);
  const read = Object.hasOwn(SCALINGS, kind) ? SCALINGS[kind] : undefined;
  if (!read)
    throw unusable(raw, `rope scaling "${kind}", expected one of ${Object.keys(SCALINGS).join(", ")}`);
  const need = (name: keyof Settings): number => {
    const value = settings[name];
    if (typeof value !== "number") throw unusable(raw, `rope scaling "${kind}" has no ${name}`);
    return value;
  };
  const originalMaxPositions = Number(
    raw["original_max_position_embeddings"] ?? settings.original_max_position_embeddings ?? maxPositions,
  );
  return read({ settings, raw, maxPositions, originalMaxPositions, numPairs, need });
}

function readLongRope(source: ScalingSource): RopeScaling {
  const { settings, raw, maxPositions, originalMaxPositions, numPairs } = source;
  const factor = settings.factor ?? maxPositions / originalMaxPositions;
  return {
    kind: "longrope",
    ...longRopeFactors(settings, raw, numPairs),
    originalMaxPositions,
    attentionFactor: settings.attention_factor ?? longRopeAttention(factor, originalMaxPositions),
  };
}

function readYarn(settings: Settings, factor: number, originalMaxPositions: number): RopeScaling {
  return {
    kind: "yarn",
    factor,
    betaFast: settings.beta_fast ?? 32,
    betaSlow: settings.beta_slow ?? 1,
    originalMaxPositions,
    attentionFactor: settings.attention_factor ?? attentionOf(settings, factor),
    truncate: settings.truncate ?? true,
  };
}

function attentionOf({ mscale, mscale_all_dim: ofAll }: Settings, factor: number): number {
  return mscale && ofAll
    ? yarnAttention(factor, mscale) / yarnAttention(factor, ofAll)
    : yarnAttention(factor);
}

function longRopeAttention(factor: number, originalMaxPositions: number): number {
  return factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(originalMaxPositions));
}

function longRopeFactors(
  { short_factor: shortFactors, long_factor: longFactors }: Settings,
  raw: RawConfig,
  numPairs: number,
): { readonly shortFactors: readonly number[]; readonly longFactors: readonly number[] } {
  if (shortFactors?.length === numPairs && longFactors?.length === numPairs)
    return { shortFactors, longFactors };
  throw unusable(
    raw,
    `rope scaling "longrope" has ${shortFactors?.length ?? 0} short and ${longFactors?.length ?? 0} long factors, expected ${numPairs} of both`,
  );
}
