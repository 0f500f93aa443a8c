/** @file The config.json that a GGUF file's metadata stands for. */
import { FormatError, UsageError } from "../../errors.ts";
import { dequantize } from "../../quant/stored-tensor.ts";
import type { GgufFile, GgufMetadata } from "../files/gguf.ts";
import type { GgufArchitecture } from "./gguf-names.ts";
import type { JsonObject } from "../files/json-file.ts";

/** Reads a number of the metadata; null when absent. 64-bit numbers come as bigint. */
export function metadataNumber(file: GgufMetadata, key: string): number | null {
  const value = file.metadata[key];
  return typeof value === "number" || typeof value === "bigint" ? Number(value) : null;
}

/** Settings with their own rule below, or of no effect on the numbers. */
const HANDLED = new Set([
  "vocab_size",
  "rope.dimension_count",
  "attention.key_length",
  "attention.value_length",
  "rope.scaling.type",
  "rope.scaling.factor",
  "rope.scaling.original_context_length",
  "rope.scaling.finetuned",
  "rope.scale_linear",
  "tensor_data_layout",
]);

function unsupported(file: GgufFile, found: string, expected: string): UsageError {
  return new UsageError("usage/model", `Cannot open model "${file.path}": ${found}, expected ${expected}`, {
    hint: "Use the model's safetensors folder, or another model.",
  });
}

/** A setting that graft does not know and that is not zero would change the numbers. */
function refuseUnknownSettings(file: GgufFile, name: string, { settings }: GgufArchitecture): void {
  for (const [key, value] of Object.entries(file.metadata)) {
    if (!key.startsWith(`${name}.`)) continue;
    const setting = key.slice(name.length + 1);
    if (Object.hasOwn(settings, setting) || HANDLED.has(setting)) continue;
    if (value === 0 || value === 0n || value === false || value === "") continue;
    throw unsupported(file, `setting ${key} is ${JSON.stringify(value, stringifyBigint)}`, "no such setting");
  }
}

function stringifyBigint(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? Number(value) : value;
}

/** Factors by which llama3 scaling divides each frequency (Llama 3.1 reference code). */
export function llama3Factors(
  scaling: { factor: number; low: number; high: number; originalLength: number },
  theta: number,
  numFrequencies: number,
): Float32Array {
  const { factor, low, high, originalLength } = scaling;
  return Float32Array.from({ length: numFrequencies }, (_, i) => {
    const wavelength = 2 * Math.PI * theta ** (i / numFrequencies);
    if (wavelength < originalLength / high) return 1;
    if (wavelength > originalLength / low) return factor;
    const smooth = (originalLength / wavelength - low) / (high - low);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}

/** Lengths that llama3 scaling may start from: that of the published models first, then all powers of two. */
const ORIGINAL_LENGTHS = [8192, ...Array.from({ length: 15 }, (_, i) => 64 << i)];

/**
 * Finds the settings of llama3 scaling behind the factors in `rope_freqs.weight`; the file keeps the factors alone.
 * The bounds 1 and 4 are those of all published models. A guess that gives the same factors gives the same model.
 */
async function readLlama3Scaling(file: GgufFile, theta: number): Promise<JsonObject | null> {
  const tensor = file.tensors.get("rope_freqs.weight");
  if (tensor === undefined) return null;
  const found = dequantize(await file.read(tensor));
  const factor = found.reduce((a, b) => Math.max(a, b), 1);
  const [low, high] = [1, 4];
  const originalLength = ORIGINAL_LENGTHS.find((originalLength) =>
    llama3Factors({ factor, low, high, originalLength }, theta, found.length).every(
      (value, i) => Math.abs(value - found[i]!) <= 1e-4 * value,
    ),
  );
  if (originalLength === undefined) {
    throw unsupported(file, "rope_freqs.weight holds other frequencies", "those of llama3 scaling");
  }
  return {
    rope_type: "llama3",
    factor,
    low_freq_factor: low,
    high_freq_factor: high,
    original_max_position_embeddings: originalLength,
  };
}

async function readRopeScaling(file: GgufFile, name: string, theta: number): Promise<JsonObject | null> {
  const type = file.metadata[`${name}.rope.scaling.type`] ?? "none";
  const factor = metadataNumber(file, `${name}.rope.scaling.factor`);
  if (type === "none") return await readLlama3Scaling(file, theta);
  if (type === "linear") return { rope_type: "linear", factor: factor ?? 1 };
  if (type === "yarn") {
    return {
      rope_type: "yarn",
      factor: factor ?? 1,
      original_max_position_embeddings: metadataNumber(file, `${name}.rope.scaling.original_context_length`),
    };
  }
  throw unsupported(file, `rope scaling ${JSON.stringify(type)}`, "none, linear or yarn");
}

/**
 * Builds the config.json of a GGUF file.
 * @throws FormatError format/file when a setting is missing
 * @throws UsageError usage/model for settings that graft does not know
 */
export async function buildConfig(
  file: GgufFile,
  name: string,
  architecture: GgufArchitecture,
): Promise<JsonObject> {
  refuseUnknownSettings(file, name, architecture);
  const config: JsonObject = { ...architecture.fixed };
  for (const [setting, key] of Object.entries(architecture.settings)) {
    const value = metadataNumber(file, `${name}.${setting}`);
    if (value !== null) config[key] = value;
    else if (setting === "rope.freq_base") config[key] = 10000;
    else if (setting === "attention.head_count_kv") config[key] = config["num_attention_heads"];
    else {
      throw new FormatError(
        "format/file",
        `Cannot read GGUF file "${file.path}": setting ${name}.${setting} is missing or a list, expected a number`,
        { hint: "Convert the model to GGUF again." },
      );
    }
  }
  const numHeads = config["num_attention_heads"] as number;
  const headDim =
    metadataNumber(file, `${name}.attention.key_length`) ?? (config["hidden_size"] as number) / numHeads;
  const valueDim = metadataNumber(file, `${name}.attention.value_length`) ?? headDim;
  const rotaryDim = metadataNumber(file, `${name}.rope.dimension_count`) ?? headDim;
  if (valueDim !== headDim || rotaryDim !== headDim || !Number.isInteger(headDim / 2)) {
    throw unsupported(file, `head widths ${headDim}, ${valueDim} and ${rotaryDim}`, "one even width");
  }
  config["head_dim"] = headDim;
  const scaling = await readRopeScaling(file, name, config["rope_theta"] as number);
  if (scaling !== null) config["rope_scaling"] = scaling;
  for (const [key, tensor] of Object.entries(architecture.switches)) {
    config[key] = file.tensors.has(`blk.0.${tensor}`);
  }
  const embedding = file.tensors.get("token_embd.weight");
  const vocabSize = embedding?.shape[0] ?? metadataNumber(file, `${name}.vocab_size`);
  if (vocabSize !== null) config["vocab_size"] = vocabSize;
  config["tie_word_embeddings"] = !file.tensors.has("output.weight");
  for (const [key, setting] of [
    ["bos_token_id", "bos"],
    ["eos_token_id", "eos"],
    ["pad_token_id", "padding"],
  ] as const) {
    const id = metadataNumber(file, `tokenizer.ggml.${setting}_token_id`);
    if (id !== null) config[key] = id;
  }
  return config;
}

/** Builds the generation_config.json of a GGUF file: which ids begin, end and pad a text. */
export function buildGenerationConfig(file: GgufFile, config: JsonObject): JsonObject {
  const eos = ["eos", "eot", "eom"].map((name) => metadataNumber(file, `tokenizer.ggml.${name}_token_id`));
  const eosIds = [...new Set(eos.filter((id) => id !== null))];
  const ids = {
    bos_token_id: config["bos_token_id"],
    eos_token_id: eosIds.length === 1 ? eosIds[0] : eosIds,
    pad_token_id: config["pad_token_id"],
  };
  return Object.fromEntries(
    Object.entries(ids).filter(
      ([, value]) => value !== undefined && !(Array.isArray(value) && value.length === 0),
    ),
  );
}
