/** @file The settings of a GGUF file for a model that comes from elsewhere: the inverse of gguf-config.ts. */
import { GGMLFileQuantizationType } from "@huggingface/gguf";
import type { ModelConfig } from "../../models/architecture.ts";
import type { StoredTensor } from "../../quant/storage.ts";
import type { StorageName } from "../../quant/storages.ts";
import { hostTensor } from "../../runtime/host-tensor.ts";
import { llama3Factors } from "./gguf-config.ts";
import type { GgufSource, GgufValue } from "../files/gguf-writer.ts";

/** What `general.file_type` says of a file whose matrices are mostly of a kind: ggml has the same names. */
export function fileType(kind: StorageName): number {
  return GGMLFileQuantizationType[kind.toUpperCase() as keyof typeof GGMLFileQuantizationType];
}

/** Version of the layout of quantized blocks that ggml writes. */
const QUANTIZATION_VERSION = 2;

const uint32 = (value: number): GgufValue => ({ type: "uint32", value });
const float32 = (value: number): GgufValue => ({ type: "float32", value });
const text = (value: string): GgufValue => ({ type: "string", value });

/** Builds the settings that say what the model is and computes. */
export function modelSettings(modelName: string, config: ModelConfig): Record<string, GgufValue> {
  const own: Record<string, GgufValue> = {
    block_count: uint32(config.numLayers),
    context_length: uint32(config.maxPositions),
    embedding_length: uint32(config.width),
    feed_forward_length: uint32(config.hiddenWidth),
    "attention.head_count": uint32(config.numHeads),
    "attention.head_count_kv": uint32(config.numKeyValueHeads),
    "attention.key_length": uint32(config.headWidth),
    "attention.value_length": uint32(config.headWidth),
    "attention.layer_norm_rms_epsilon": float32(config.normEpsilon),
    "rope.dimension_count": uint32(config.headWidth),
    vocab_size: uint32(config.vocabSize),
  };
  if (config.rope !== null) own["rope.freq_base"] = float32(config.rope.theta);
  if (config.rope?.scaling.kind === "linear") {
    own["rope.scaling.type"] = text("linear");
    own["rope.scaling.factor"] = float32(config.rope.scaling.factor);
  }
  return {
    "general.architecture": text(config.modelType),
    "general.type": text("model"),
    "general.name": text(modelName),
    "general.quantization_version": uint32(QUANTIZATION_VERSION),
    ...Object.fromEntries(Object.entries(own).map(([key, value]) => [`${config.modelType}.${key}`, value])),
  };
}

/** The tensors of a file that hold settings: the factors of llama3's frequencies. */
export function settingTensors({ rope }: ModelConfig): GgufSource[] {
  if (rope?.scaling.kind !== "llama3") return [];
  const { scaling, theta, headWidth } = rope;
  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalMaxPositions } = scaling;
  const factors = llama3Factors(
    { factor, low, high, originalLength: originalMaxPositions },
    theta,
    headWidth / 2,
  );
  const shape = [factors.length];
  const stored: StoredTensor = {
    storage: "f32",
    shape,
    planes: { data: hostTensor("float32", shape, factors) },
  };
  return [{ name: "rope_freqs.weight", shape, storage: "f32", load: () => stored }];
}
