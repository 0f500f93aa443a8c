/** @file Builds the settings of a GGUF file from a model: the inverse of gguf-config.ts. */
import { assertInternal } from "../../../errors.ts";
import type { GgufRules } from "../../../models/config/gguf-rules.ts";
import type { Model } from "../../../models/model.ts";
import type { AttentionOptions } from "../../../nn/builder.ts";
import type { Storage } from "../../../quant/storage.ts";
import { type StorageName, STORAGES } from "../../../quant/storages.ts";
import type { GgufValue } from "../../files/gguf/gguf-setting-bytes.ts";
import type { GgufSource } from "../../files/gguf/gguf-writer.ts";
import type { JsonObject } from "../../files/json-file.ts";
import { ropeSettings, ropeTensors } from "./gguf-rope.ts";

/** The `general.file_type` of a file whose matrices are mostly of a storage that graft writes. */
export function fileType(kind: StorageName): number {
  const { ggufFileType }: Storage = STORAGES[kind];
  assertInternal(ggufFileType !== undefined, `files of ${kind} have no number`);
  return ggufFileType;
}

/** Version of the layout of quantized blocks that ggml writes. */
const QUANTIZATION_VERSION = 2;

const uint32 = (value: number): GgufValue => ({ type: "uint32", value });
const text = (value: string): GgufValue => ({ type: "string", value });

/** Attention of all layers, and of a representative one: rotated and without a window, if there is one. */
function attentionOf({ layers }: Model): {
  readonly all: readonly AttentionOptions[];
  readonly main: AttentionOptions | null;
} {
  const all = layers.flatMap(({ attention }) => (attention === null ? [] : [attention]));
  const rotated = all.filter(({ rope }) => rope !== null);
  return { all, main: rotated.find(({ window }) => window === null) ?? rotated[0] ?? all[0] ?? null };
}

/** Values of config.json, including defaults. */
function valuesOf(model: Model, rules: GgufRules): JsonObject {
  const { all, main } = attentionOf(model);
  return {
    ...model.settings,
    ...rules.values(model.settings, all),
    num_key_value_heads: main?.numKeyValueHeads,
    rope_theta: main?.rope?.theta,
  };
}

/** Builds the settings that describe the model. */
export function modelSettings(modelName: string, model: Model, rules: GgufRules): Record<string, GgufValue> {
  const { main } = attentionOf(model);
  const values = valuesOf(model, rules);
  const own: Record<string, GgufValue> = { vocab_size: uint32(model.vocabSize ?? 0) };
  if (rules.rotated !== null && main !== null) {
    own["attention.key_length"] = own["attention.value_length"] = uint32(main.headWidth);
    own["rope.dimension_count"] = uint32(main.rope?.width ?? main.headWidth);
    if (main.rope !== null) Object.assign(own, ropeSettings(main.rope, rules));
  }
  for (const [setting, { key, type, isOneForAll }] of Object.entries(rules.settings)) {
    const value = values[key];
    if (type === "bools" || type === "int32s") {
      if (Array.isArray(value)) own[setting] = { type, value };
      else if (isOneForAll && typeof value === "number") own[setting] = uint32(value);
    } else if (type === "bool") {
      if (typeof value === "boolean") own[setting] = { type, value };
    } else if (typeof value === "number") own[setting] = { type, value };
  }
  return {
    "general.architecture": text(rules.architecture),
    "general.type": text("model"),
    "general.name": text(modelName),
    "general.quantization_version": uint32(QUANTIZATION_VERSION),
    ...Object.fromEntries(Object.entries(own).map(([key, value]) => [`${rules.architecture}.${key}`, value])),
  };
}

/** The tensors of a file that hold settings. */
export function settingTensors(model: Model): GgufSource[] {
  const rope = attentionOf(model).main?.rope;
  return rope ? ropeTensors(rope) : [];
}
