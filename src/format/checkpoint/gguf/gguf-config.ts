/** @file Builds config.json from a GGUF file's metadata, by the rules of its family. */
import { FormatError } from "../../../errors.ts";
import { requireModelSize } from "../../../untrusted/limits.ts";
import type { GgufFamily } from "../../../models/families.ts";
import type { GgufRules, GgufSetting } from "../../../models/config/gguf-rules.ts";
import type { GgufMetadata } from "../../files/gguf/gguf.ts";
import type { JsonObject } from "../../files/json-file.ts";
import type { NumHeads } from "./gguf-row-orders.ts";
import { type GgufContents, metadataNumber, unsupported } from "./gguf-metadata.ts";
import { readRopeScaling, ROPE_SETTINGS, YARN_MULTIPLIER } from "./gguf-rope.ts";

/** Settings that are handled separately below, or have no effect on the numbers. */
const HANDLED: ReadonlySet<string> = new Set([
  "vocab_size",
  "tensor_data_layout",
  "attention.key_length",
  "attention.value_length",
  "rope.dimension_count",
]);

/** Refuses settings that graft does not know, unless they are zero: they could change the numbers. */
function refuseUnknownSettings(
  file: GgufContents,
  { architecture, settings, rotated, blocksBehind, hasYarnMultiplier, idle }: GgufRules,
): void {
  for (const [key, value] of Object.entries(file.metadata)) {
    if (!key.startsWith(`${architecture}.`)) continue;
    const setting = key.slice(architecture.length + 1);
    if (Object.hasOwn(settings, setting) || HANDLED.has(setting)) continue;
    if (rotated !== null && ROPE_SETTINGS.has(setting)) continue;
    if (hasYarnMultiplier && setting === YARN_MULTIPLIER) continue;
    if (setting === blocksBehind || idle?.includes(setting)) continue;
    if (value === 0 || value === 0n || value === false || value === "") continue;
    throw unsupported(file, `setting ${key} is ${JSON.stringify(value, stringifyBigint)}`, "no such setting");
  }
}

function stringifyBigint(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? Number(value) : value;
}

/** Types of settings with a value for each layer: a check of a value, and what messages call the values. */
const LISTS = {
  bools: { is: (each: unknown) => typeof each === "boolean", what: "true and false" },
  int32s: { is: (each: unknown) => Number.isInteger(each), what: "whole numbers" },
};

/** Reads a number, or the common number of a list; null: absent, or the numbers of the list differ. */
function sameNumber(file: GgufContents, name: string): number | null {
  const found = file.metadata[name];
  const [first, ...others] = Array.isArray(found) ? (found as readonly unknown[]) : [found];
  const isOne = others.every((each) => each === first);
  return isOne ? metadataNumber({ path: file.path, metadata: { [name]: first } }, name) : null;
}

/** @throws FormatError format/file for one that is missing or of another type */
function readSetting(
  file: GgufContents,
  name: string,
  { absent, type, isOneForAll }: GgufSetting,
  config: JsonObject,
): unknown {
  const found = file.metadata[name];
  const list = type === "bools" || type === "int32s" ? LISTS[type] : null;
  if (list && Array.isArray(found) && found.every(list.is)) return found;
  const value = type === "bool" && typeof found === "boolean" ? found : sameNumber(file, name);
  if (value !== null && (!list || isOneForAll)) return value;
  if (absent === "refused" || found !== undefined) {
    throw new FormatError(
      "format/file",
      `Cannot read GGUF file "${file.path}": setting ${name} is ${list ? `not a list of ${list.what}, expected one` : "missing or a list, expected a number"}`,
      { hint: "Convert the model to GGUF again." },
    );
  }
  if (absent === "left-out") return undefined;
  return typeof absent === "object" ? config[absent.sameAs] : absent;
}

/** Reads the width of the heads and how many of their columns rotate. @throws UsageError usage/model */
function readHeadWidths(
  file: GgufContents,
  { architecture, rotated }: GgufRules,
  config: JsonObject,
): JsonObject {
  const width = (name: string): number | null => metadataNumber(file, `${architecture}.${name}`);
  const plain = (config["hidden_size"] as number) / (config["num_attention_heads"] as number);
  const headDim = width("attention.key_length") ?? plain;
  const valueDim = width("attention.value_length") ?? headDim;
  const rotaryDim = width("rope.dimension_count") ?? headDim;
  const isWhole = rotaryDim === headDim;
  const fits = isWhole || (rotated === "first-columns" && rotaryDim > 0 && rotaryDim < headDim);
  if (valueDim !== headDim || !fits || !Number.isInteger(headDim / 2)) {
    throw unsupported(file, `head widths ${headDim}, ${valueDim} and ${rotaryDim}`, "one even width");
  }
  // Written even if all columns rotate: some families have another default.
  return {
    head_dim: headDim,
    ...(rotated === "first-columns" && { partial_rotary_factor: rotaryDim / headDim }),
  };
}

/**
 * Builds the config.json of a GGUF file.
 * @throws FormatError format/file when a setting is missing
 * @throws UsageError usage/model for settings that graft does not know
 */
export async function makeConfig(
  file: GgufContents,
  { modelType, gguf: rules }: GgufFamily,
): Promise<JsonObject> {
  refuseUnknownSettings(file, rules);
  const config: JsonObject = { model_type: modelType, ...rules.fixed };
  for (const [setting, rule] of Object.entries(rules.settings)) {
    const value = readSetting(file, `${rules.architecture}.${setting}`, rule, config);
    if (value !== undefined) config[rule.key] = value;
  }
  requireModelSize(config, file.tensors.size);
  if (rules.blocksBehind !== undefined) config["num_hidden_layers"] = numOwnBlocks(file, rules);
  if (rules.rotated !== null) {
    if (rules.rotated !== "told") Object.assign(config, readHeadWidths(file, rules, config));
    const scaling = await readRopeScaling(file, rules, config["rope_theta"] as number);
    if (scaling !== null) config["rope_scaling"] = scaling;
  }
  for (const [key, tensor] of Object.entries(rules.switches)) {
    config[key] = file.tensors.has(`blk.0.${tensor}`);
  }
  for (const [key, { has, lacks }] of Object.entries(rules.gaps ?? {})) {
    const blocks = Array.from({ length: Number(config["num_hidden_layers"]) }, (_, block) => `blk.${block}.`);
    config[key] = blocks.some((block) => file.tensors.has(block + has) && !file.tensors.has(block + lacks));
  }
  const embedding = file.tensors.get("token_embd.weight");
  const vocabSize = embedding?.shape[0] ?? metadataNumber(file, `${rules.architecture}.vocab_size`);
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
  const complete = Object.entries(rules.complete(config));
  return Object.fromEntries(complete.map(([key, value]) => [rules.keys[key] ?? key, value]));
}

/** Number of the model's own blocks; Infinity unless files of the family may have other blocks after them. */
export function numOwnBlocks(file: GgufMetadata, { architecture, blocksBehind }: GgufRules): number {
  const count = (setting: string): number => metadataNumber(file, `${architecture}.${setting}`) ?? 0;
  return blocksBehind === undefined ? Infinity : count("block_count") - count(blocksBehind);
}

/** Numbers of heads of a configuration, which determine orders of rows. */
export function headsOf(config: JsonObject, { valueHeads, numGroups, keyRows }: GgufRules): NumHeads {
  const query = Number(config["num_attention_heads"] ?? 1);
  const key = Number(config["num_key_value_heads"] ?? query);
  return {
    query,
    key,
    values: valueHeads?.(config) ?? null,
    groups: numGroups?.(config) ?? 1,
    keyRows: keyRows?.(config) ?? 0,
  };
}

/** Tokens that end a turn, as in llama.cpp: for Gemma 2 and 3, Phi-3 and some Llama 3, converters only write the end of a text. */
const TURN_ENDS = ["<end_of_turn>", "<|end|>", "<|eot_id|>", "<|eom_id|>", "<|im_end|>"];
/** Tokens that end a turn of harmony, where `<|end|>` only ends a message; used instead of TURN_ENDS if the vocabulary has both. */
const HARMONY_ENDS = ["<|return|>", "<|call|>"];

/** Builds the generation_config.json of a GGUF file: which ids begin, end and pad a text. */
export function makeGenerationConfig(file: GgufMetadata, config: JsonObject): JsonObject {
  const named = ["eos", "eot", "eom"].map((name) => metadataNumber(file, `tokenizer.ggml.${name}_token_id`));
  const listed = file.metadata["tokenizer.ggml.tokens"];
  const tokens: readonly unknown[] = Array.isArray(listed) ? listed : [];
  const ends = HARMONY_ENDS.every((token) => tokens.includes(token)) ? HARMONY_ENDS : TURN_ENDS;
  const known = ends.map((token) => tokens.indexOf(token));
  const eosIds = [...new Set([...named, ...known])].filter((id) => id !== null && id >= 0);
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
