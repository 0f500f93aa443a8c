/** @file Reads rotary settings of GGUF files, in metadata and in special tensors, into config.json; and writes them. */
import { type RopeScaling, yarnAttention } from "../../../nn/rope/rope-scaling.ts";
import { type RopeConfig, ropeFrequencies } from "../../../nn/rope/rope-tables.ts";
import { dequantize, storedFloats } from "../../../quant/stored-tensor.ts";
import { hostTensor } from "../../../runtime/host-tensor.ts";
import type { GgufRules } from "../../../models/config/gguf-rules.ts";
import type { GgufValue } from "../../files/gguf/gguf-setting-bytes.ts";
import type { GgufSource } from "../../files/gguf/gguf-writer.ts";
import type { JsonObject } from "../../files/json-file.ts";
import { type GgufContents, metadataNumber, unsupported } from "./gguf-metadata.ts";

const [EACH_FACTOR, LONG_FACTORS, SHORT_FACTORS] = [
  "rope_freqs.weight",
  "rope_factors_long.weight",
  "rope_factors_short.weight",
];

/** Tensors that hold settings. */
export const ROPE_TENSORS: ReadonlySet<string> = new Set([EACH_FACTOR, LONG_FACTORS, SHORT_FACTORS]);

/** Settings that are read here. */
export const ROPE_SETTINGS: ReadonlySet<string> = new Set([
  "rope.scaling.type",
  "rope.scaling.factor",
  "rope.scaling.original_context_length",
  "rope.scaling.finetuned",
  "rope.scaling.attn_factor",
  "rope.scaling.yarn_attn_factor",
  "rope.scaling.yarn_beta_fast",
  "rope.scaling.yarn_beta_slow",
  "rope.scale_linear",
]);

/** The setting L: YaRN's factor on cosine and sine is divided by 1 + 0.1 L log(factor). */
export const YARN_MULTIPLIER = "rope.scaling.yarn_log_multiplier";

/** The rules of an architecture that matter here. */
type RopeRules = Pick<GgufRules, "architecture" | "hasYarnMultiplier">;

type Llama3Scaling = Extract<RopeScaling, { readonly kind: "llama3" }>;

/** Factors by which llama3 scaling divides each frequency. */
export function llama3Factors(
  scaling: Llama3Scaling,
  theta: number,
  numFrequencies: number,
): Float32Array<ArrayBuffer> {
  const of = (each: RopeScaling): readonly number[] =>
    ropeFrequencies({ theta, width: 2 * numFrequencies, scaling: each }, 1).frequencies;
  const scaled = of(scaling);
  return Float32Array.from(of({ kind: "none" }), (frequency, i) => frequency / scaled[i]!);
}

/** Frequencies divided by this do not rotate. */
const NO_TURN = 1e30;

/** Finds the settings of proportional scaling, where the last pairs of a head do not rotate; null: the factors do not fit. */
function findProportional(found: Float32Array): JsonObject | null {
  const [factor = 1] = found;
  const numTurning = found.findIndex((each) => each >= NO_TURN / 10);
  if (numTurning < 1 || !found.every((each, i) => (i < numTurning ? each === factor : each >= NO_TURN / 10)))
    return null;
  const share = numTurning / found.length;
  return {
    rope_type: "proportional",
    factor,
    // Readers round down to whole pairs; the result must be `numTurning`.
    partial_rotary_factor: share * found.length < numTurning ? (numTurning + 0.5) / found.length : share,
  };
}

/** Candidates for the original length of llama3 scaling: that of the published models, then powers of two. */
const ORIGINAL_LENGTHS = [8192, ...Array.from({ length: 15 }, (_, i) => 64 << i)];

/**
 * Guesses the settings of llama3 scaling from the factors in `rope_freqs.weight`: the file keeps only the factors. The bounds 1
 * and 4 are those of all published models. Settings that give the same factors give the same model.
 */
function findLlama3Scaling(file: GgufContents, found: Float32Array, theta: number): JsonObject {
  const factor = found.reduce((a, b) => Math.max(a, b), 1);
  const bounds = { kind: "llama3", factor, lowFrequencyFactor: 1, highFrequencyFactor: 4 } as const;
  const originalMaxPositions = ORIGINAL_LENGTHS.find((length) =>
    llama3Factors({ ...bounds, originalMaxPositions: length }, theta, found.length).every(
      (value, i) => Math.abs(value - found[i]!) <= 1e-4 * value,
    ),
  );
  if (originalMaxPositions === undefined) {
    throw unsupported(file, `${EACH_FACTOR} contains other frequencies`, "those of llama3 scaling");
  }
  return {
    rope_type: "llama3",
    factor,
    low_freq_factor: bounds.lowFrequencyFactor,
    high_freq_factor: bounds.highFrequencyFactor,
    original_max_position_embeddings: originalMaxPositions,
  };
}

/** Those settings that a file has. */
function known(settings: Readonly<Record<string, number | null>>): JsonObject {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== null));
}

/** Reads YaRN's settings other than its factor; `number` reads a setting of the file. */
function yarnSettings(number: (name: string) => number | null, multiplier: number): JsonObject {
  const [factor, attention] = [number("factor") ?? 1, number("attn_factor") ?? 1];
  const usual = yarnAttention(factor) / yarnAttention(factor, multiplier);
  const whole = number("yarn_attn_factor");
  // If only this one is given and is below 1, it is `attn_factor` of a configuration, which transformers and llama.cpp ignore.
  const isKnown = whole !== null && (whole >= 1 || attention !== 1);
  return known({
    original_max_position_embeddings: number("original_context_length"),
    attention_factor: isKnown ? whole : attention === 1 && multiplier === 0 ? null : attention * usual,
    beta_fast: number("yarn_beta_fast"),
    beta_slow: number("yarn_beta_slow"),
  });
}

/** Reads `rope_scaling` of config.json; null for none. @throws UsageError usage/model for scaling that is not known */
export async function readRopeScaling(
  file: GgufContents,
  { architecture, hasYarnMultiplier }: RopeRules,
  theta: number,
): Promise<JsonObject | null> {
  const number = (name: string): number | null =>
    metadataNumber(file, `${architecture}.rope.scaling.${name}`);
  const factorsOf = async (name: string): Promise<Float32Array | null> => {
    const tensor = file.tensors.get(name);
    return tensor === undefined ? null : dequantize(await file.read(tensor));
  };
  const type = file.metadata[`${architecture}.rope.scaling.type`] ?? "none";
  const [long, short] = [await factorsOf(LONG_FACTORS), await factorsOf(SHORT_FACTORS)];
  const originalLength = number("original_context_length");
  if (long !== null && short !== null && (type === "none" || type === "longrope")) {
    const others = {
      attention_factor: number("attn_factor"),
      original_max_position_embeddings: originalLength,
    };
    return { rope_type: "longrope", long_factor: [...long], short_factor: [...short], ...known(others) };
  }
  if (long !== null || short !== null || type === "longrope") {
    const found = long === null && short === null ? "no list" : "one list";
    const expected = type === "longrope" ? "both" : "both or none";
    throw unsupported(file, `rope scaling ${JSON.stringify(type)} with ${found} of factors`, expected);
  }
  const [factor, attention] = [number("factor") ?? 1, number("attn_factor") ?? 1];
  if (attention !== 1 && type !== "yarn")
    throw unsupported(file, `rope.scaling.attn_factor is ${attention}`, "1");
  switch (type) {
    case "none": {
      const factors = await factorsOf(EACH_FACTOR);
      return factors && (findProportional(factors) ?? findLlama3Scaling(file, factors, theta));
    }
    case "linear":
      return { rope_type: "linear", factor };
    case "yarn": {
      const multiplier = hasYarnMultiplier
        ? metadataNumber(file, `${architecture}.${YARN_MULTIPLIER}`)
        : null;
      return { rope_type: "yarn", factor, ...yarnSettings(number, multiplier ?? 0) };
    }
    default:
      throw unsupported(file, `rope scaling ${JSON.stringify(type)}`, "none, linear, yarn or longrope");
  }
}

/** The settings of a scaling, by names without the architecture. */
export function ropeSettings({ scaling }: RopeConfig, rules: RopeRules): Record<string, GgufValue> {
  const float32 = (value: number): GgufValue => ({ type: "float32", value });
  const uint32 = (value: number): GgufValue => ({ type: "uint32", value });
  const type: GgufValue = { type: "string", value: scaling.kind };
  if (scaling.kind === "none" || scaling.kind === "llama3" || scaling.kind === "proportional") return {};
  if (scaling.kind === "longrope") {
    return {
      "rope.scaling.type": type,
      "rope.scaling.attn_factor": float32(scaling.attentionFactor),
      "rope.scaling.original_context_length": uint32(scaling.originalMaxPositions),
    };
  }
  const { factor } = scaling;
  const stretched = { "rope.scaling.type": type, "rope.scaling.factor": float32(factor) };
  if (scaling.kind === "linear") return stretched;
  const { originalMaxPositions, attentionFactor, betaFast, betaSlow } = scaling;
  const multiplier = rules.hasYarnMultiplier && attentionFactor === 1 ? 1 : 0;
  const usual = yarnAttention(factor) / yarnAttention(factor, multiplier);
  return {
    ...stretched,
    "rope.scaling.original_context_length": uint32(originalMaxPositions),
    "rope.scaling.yarn_beta_fast": float32(betaFast),
    "rope.scaling.yarn_beta_slow": float32(betaSlow),
    ...(multiplier === 1 && { [YARN_MULTIPLIER]: float32(multiplier) }),
    // Converters write the first of these; llama.cpp ignores it, and multiplies its own factor by the second.
    ...(attentionFactor !== usual && {
      "rope.scaling.yarn_attn_factor": float32(attentionFactor),
      "rope.scaling.attn_factor": float32(attentionFactor / usual),
    }),
  };
}

function listTensor(name: string, values: Float32Array<ArrayBuffer>): GgufSource {
  const stored = storedFloats(hostTensor("float32", [values.length], values));
  return { ...stored, name, load: () => stored };
}

/** The tensors that hold factors of a scaling. */
export function ropeTensors({ scaling, theta, width }: RopeConfig): GgufSource[] {
  if (scaling.kind === "longrope") {
    return [
      listTensor(LONG_FACTORS, Float32Array.from(scaling.longFactors)),
      listTensor(SHORT_FACTORS, Float32Array.from(scaling.shortFactors)),
    ];
  }
  if (scaling.kind === "proportional") {
    const factors = Array.from({ length: width / 2 }, (_, i) =>
      i < scaling.numTurning ? scaling.factor : NO_TURN,
    );
    return [listTensor(EACH_FACTOR, Float32Array.from(factors))];
  }
  if (scaling.kind !== "llama3") return [];
  return [listTensor(EACH_FACTOR, llama3Factors(scaling, theta, width / 2))];
}
