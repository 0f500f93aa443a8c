/** @file The list of model families. */
import { UsageError } from "../errors.ts";
import { showValue } from "../messages/expected.ts";
import { nearest } from "../messages/nearest.ts";
import type { Family, RawConfig } from "./family.ts";
import type { GgufRules } from "./config/gguf-rules.ts";
import { Model } from "./model.ts";
import { apertus } from "./families/apertus.ts";
import { arcee } from "./families/arcee.ts";
import { bert } from "./families/bert.ts";
import { camembert } from "./families/camembert.ts";
import { cohere } from "./families/cohere.ts";
import { cohere2 } from "./families/cohere2.ts";
import { deepseekV2 } from "./families/deepseek-v2.ts";
import { deepseekV3 } from "./families/deepseek-v3.ts";
import { debertaV2 } from "./families/deberta-v2.ts";
import { distilbert } from "./families/distilbert.ts";
import { electra } from "./families/electra.ts";
import { ernie45 } from "./families/ernie4-5.ts";
import { eurobert } from "./families/eurobert.ts";
import { exaone } from "./families/exaone.ts";
import { ernie45Moe } from "./families/ernie4-5-moe.ts";
import { exaone4 } from "./families/exaone4.ts";
import { falconH1 } from "./families/falcon-h1.ts";
import { gemma } from "./families/gemma.ts";
import { gemma2 } from "./families/gemma2.ts";
import { gemma3 } from "./families/gemma3.ts";
import { gemma3Text } from "./families/gemma3-text.ts";
import { gemma4 } from "./families/gemma4.ts";
import { gemma4Unified } from "./families/gemma4-unified.ts";
import { gemma4Text } from "./families/gemma4-text.ts";
import { glm } from "./families/glm.ts";
import { glm4 } from "./families/glm4.ts";
import { glm4MoeLite } from "./families/glm4-moe-lite.ts";
import { gpt2 } from "./families/gpt2.ts";
import { gptNeo } from "./families/gpt-neo.ts";
import { gptNeox } from "./families/gpt-neox.ts";
import { gptOss } from "./families/gpt-oss.ts";
import { granite } from "./families/granite.ts";
import { granitemoe } from "./families/granitemoe.ts";
import { granitemoehybrid } from "./families/granitemoehybrid.ts";
import { helium } from "./families/helium.ts";
import { hunyuanV1Dense } from "./families/hunyuan-v1-dense.ts";
import { idefics3 } from "./families/idefics3.ts";
import { lfm2Moe } from "./families/lfm2-moe.ts";
import { lfm2 } from "./families/lfm2.ts";
import { llama } from "./families/llama.ts";
import { ministral } from "./families/ministral.ts";
import { ministral3 } from "./families/ministral3.ts";
import { mistral } from "./families/mistral.ts";
import { mistral3 } from "./families/mistral3.ts";
import { mixtral } from "./families/mixtral.ts";
import { modernbert } from "./families/modernbert.ts";
import { modernbertDecoder } from "./families/modernbert-decoder.ts";
import { nanochat } from "./families/nanochat.ts";
import { nemotron } from "./families/nemotron.ts";
import { mpnet } from "./families/mpnet.ts";
import { olmo } from "./families/olmo.ts";
import { olmo2 } from "./families/olmo2.ts";
import { olmo3 } from "./families/olmo3.ts";
import { olmoe } from "./families/olmoe.ts";
import { opt } from "./families/opt.ts";
import { phi } from "./families/phi.ts";
import { phi3 } from "./families/phi3.ts";
import { qwen2 } from "./families/qwen2.ts";
import { qwen25Vl } from "./families/qwen2-5-vl.ts";
import { qwen2Moe } from "./families/qwen2-moe.ts";
import { qwen2Vl } from "./families/qwen2-vl.ts";
import { qwen3 } from "./families/qwen3.ts";
import { qwen3Moe } from "./families/qwen3-moe.ts";
import { qwen3Vl } from "./families/qwen3-vl.ts";
import { qwen35 } from "./families/qwen3-5.ts";
import { qwen35Moe } from "./families/qwen3-5-moe.ts";
import { qwen35MoeText } from "./families/qwen3-5-moe-text.ts";
import { qwen35Text } from "./families/qwen3-5-text.ts";
import { roberta } from "./families/roberta.ts";
import { seedOss } from "./families/seed-oss.ts";
import { smollm3 } from "./families/smollm3.ts";
import { smolvlm } from "./families/smolvlm.ts";
import { stablelm } from "./families/stablelm.ts";
import { starcoder2 } from "./families/starcoder2.ts";
import { vaultgemma } from "./families/vaultgemma.ts";
import { vit } from "./families/vit.ts";
import { xlmRoberta } from "./families/xlm-roberta.ts";

/** The families of models that graft computes. */
export const FAMILIES: readonly Family[] = [
  llama,
  mistral,
  ministral,
  ministral3,
  mistral3,
  idefics3,
  smolvlm,
  qwen2,
  qwen2Vl,
  qwen25Vl,
  qwen3,
  qwen3Vl,
  qwen35Text,
  qwen35,
  gemma,
  gemma2,
  vaultgemma,
  gemma3Text,
  gemma3,
  gemma4Text,
  gemma4,
  gemma4Unified,
  gpt2,
  gptNeo,
  gptNeox,
  gptOss,
  opt,
  granite,
  granitemoe,
  granitemoehybrid,
  falconH1,
  lfm2,
  lfm2Moe,
  ernie45,
  exaone,
  ernie45Moe,
  exaone4,
  glm,
  glm4,
  hunyuanV1Dense,
  arcee,
  seedOss,
  nanochat,
  modernbertDecoder,
  apertus,
  helium,
  nemotron,
  phi,
  phi3,
  smollm3,
  cohere,
  cohere2,
  stablelm,
  starcoder2,
  olmo,
  olmo2,
  olmo3,
  mixtral,
  qwen2Moe,
  qwen3Moe,
  qwen35MoeText,
  qwen35Moe,
  olmoe,
  deepseekV2,
  deepseekV3,
  glm4MoeLite,
  bert,
  roberta,
  xlmRoberta,
  camembert,
  electra,
  debertaV2,
  mpnet,
  distilbert,
  modernbert,
  eurobert,
  vit,
];

/** Finds the family of a configuration among the given ones. @throws UsageError "usage/model" when there is none */
export function findFamily(raw: RawConfig, families: readonly Family[] = FAMILIES): Family {
  const { model_type: modelType, architectures } = raw;
  const found = families.find((family) => family.modelType === modelType);
  if (found) return found;
  const names = families.map((family) => family.modelType);
  const alike = nearest(String(modelType), names);
  const suggestion = alike === null ? "" : `; the nearest name is "${alike}"`;
  const classes = Array.isArray(architectures) ? ` (${architectures.join(", ")})` : "";
  const given = modelType === undefined ? "a model without model_type" : `model type ${showValue(modelType)}`;
  throw new UsageError(
    "usage/model",
    `Cannot use ${given}${classes}: expected one of ${names.map((name) => `"${name}"`).join(", ")}`,
    { hint: `Choose a model of an implemented family${suggestion}.` },
  );
}

/** Reads the configuration of a model, of one of these families; `imageProcessor` as `Model` takes it. @throws UsageError "usage/model" */
export function openModel(
  raw: RawConfig,
  families: readonly Family[] = FAMILIES,
  imageProcessor: RawConfig | null = null,
): Model {
  const family = findFamily(raw, families);
  try {
    return new Model(family, raw, imageProcessor);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    // Each setting is valid, but not the graph that they describe together.
    throw new UsageError(
      "usage/model",
      `Cannot use the configuration of this "${family.modelType}" model: its sizes do not match (${error.message})`,
      { hint: "The configuration is damaged or belongs to another model: download it again.", cause: error },
    );
  }
}

/** A family that GGUF files can hold. */
export interface GgufFamily extends Family {
  readonly gguf: GgufRules;
}

/** The families that GGUF files can hold. */
export const GGUF_FAMILIES: readonly GgufFamily[] = FAMILIES.filter(
  (family): family is GgufFamily => family.gguf !== "not-in-gguf",
);

/** Says why no family reads files of an architecture; null: one does. */
export function unknownGgufArchitecture(
  architecture: string,
): { readonly found: string; readonly hint: string } | null {
  const names = [...new Set(GGUF_FAMILIES.map(({ gguf }) => gguf.architecture))];
  if (names.includes(architecture)) return null;
  const alike = nearest(architecture, names);
  const suggestion = alike === null ? "" : `; the nearest is ${alike}`;
  return {
    found: `GGUF architecture ${architecture}, expected one of ${names.join(", ")}`,
    hint: `Use the model's safetensors folder, or a model of one of these families${suggestion}.`,
  };
}

/**
 * Finds the family that a GGUF file is read as: of those with its `general.architecture` the one that a setting identifies, else
 * the first.
 * @throws UsageError "usage/model" when there is none.
 */
export function findGgufFamily(
  path: string,
  architecture: string,
  metadata: Readonly<Record<string, unknown>>,
): GgufFamily {
  const families = GGUF_FAMILIES.filter(({ gguf }) => gguf.architecture === architecture);
  const setting = (name: string): unknown => metadata[`${architecture}.${name}`];
  const counts = (name: string): boolean => Number(setting(name) ?? 0) > 0;
  const isTold = ({ gguf: { toldBy } }: GgufFamily): boolean =>
    typeof toldBy === "function" ? toldBy(setting) : toldBy !== null && counts(toldBy);
  const family = families.find(isTold) ?? families[0];
  if (family) {
    const { withExperts } = family.gguf;
    return withExperts && counts("expert_count") ? { ...family, gguf: withExperts } : family;
  }
  const { found, hint } = unknownGgufArchitecture(architecture)!;
  throw new UsageError("usage/model", `Cannot open model "${path}": ${found}`, { hint });
}
