/** @file The settings of a GGUF file for a model that comes from elsewhere: the inverse of gguf-config.ts. */
import { GGMLFileQuantizationType } from "@huggingface/gguf";
import type { Model } from "../../models/model.ts";
import type { StoredTensor } from "../../quant/stored-tensor.ts";
import type { StorageName } from "../../quant/storages.ts";
import { hostTensor } from "../../runtime/host-tensor.ts";
import { llama3Factors } from "./gguf-config.ts";
import type { GgufArchitecture } from "./gguf-names.ts";
import type { GgufSource, GgufValue } from "../files/gguf-writer.ts";

/** What `general.file_type` says of a file whose matrices are mostly of a kind: ggml has the same names. */
export function fileType(kind: StorageName): number {
  return GGMLFileQuantizationType[kind.toUpperCase() as keyof typeof GGMLFileQuantizationType];
}

/** What transformers takes where config.json has none. */
const DEFAULT_EPSILON = 1e-6;

/** Version of the layout of quantized blocks that ggml writes. */
const QUANTIZATION_VERSION = 2;

const uint32 = (value: number): GgufValue => ({ type: "uint32", value });
const float32 = (value: number): GgufValue => ({ type: "float32", value });
const text = (value: string): GgufValue => ({ type: "string", value });

/** Builds the settings that say what the model is and computes. */
export function modelSettings(
  modelName: string,
  model: Model,
  { settings }: GgufArchitecture,
): Record<string, GgufValue> {
  const attention = model.layers[0]?.attention;
  const headWidth = attention?.headWidth ?? 0;
  const rope = attention?.rope;
  const known: Readonly<Record<string, unknown>> = {
    max_position_embeddings: model.maxPositions,
    num_key_value_heads: attention?.numKeyValueHeads,
    rope_theta: rope?.theta,
    rms_norm_eps: DEFAULT_EPSILON,
    ...model.raw,
  };
  const own: Record<string, GgufValue> = {
    "attention.key_length": uint32(headWidth),
    "attention.value_length": uint32(headWidth),
    "rope.dimension_count": uint32(rope?.width ?? headWidth),
    vocab_size: uint32(model.vocabSize ?? 0),
  };
  for (const [setting, key] of Object.entries(settings)) {
    const value = known[key];
    if (typeof value !== "number") continue;
    own[setting] = /epsilon|freq_base/.test(setting) ? float32(value) : uint32(value);
  }
  if (rope?.scaling.kind === "linear") {
    own["rope.scaling.type"] = text("linear");
    own["rope.scaling.factor"] = float32(rope.scaling.factor);
  }
  return {
    "general.architecture": text(model.modelType),
    "general.type": text("model"),
    "general.name": text(modelName),
    "general.quantization_version": uint32(QUANTIZATION_VERSION),
    ...Object.fromEntries(Object.entries(own).map(([key, value]) => [`${model.modelType}.${key}`, value])),
  };
}

/** The tensors of a file that hold settings: the factors of llama3's frequencies. */
export function settingTensors({ layers }: Model): GgufSource[] {
  const rope = layers[0]?.attention?.rope;
  if (rope?.scaling.kind !== "llama3") return [];
  const { scaling, theta, width } = rope;
  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalMaxPositions } = scaling;
  const factors = llama3Factors(
    { factor, low, high, originalLength: originalMaxPositions },
    theta,
    width / 2,
  );
  const shape = [factors.length];
  const stored: StoredTensor = {
    storage: "f32",
    shape,
    planes: { data: hostTensor("float32", shape, factors) },
  };
  return [{ name: "rope_freqs.weight", shape, storage: "f32", load: () => stored }];
}
