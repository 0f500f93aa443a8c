/** @file Merged models as GGUF files: a copy of the base's file with other weights, or a file of a folder's model. */
import { UsageError } from "../errors.ts";
import type { Model } from "../models/model.ts";
import { permuteRows } from "../quant/stored-tensor.ts";
import type { StorageName } from "../quant/storages.ts";
import type { Checkpoint } from "../format/checkpoint/checkpoint.ts";
import { openGguf, patchGguf, writeGguf } from "../format/by-path.ts";
import {
  fileRowOrder,
  GGUF_ARCHITECTURES,
  type GgufArchitecture,
  toGgufName,
} from "../format/checkpoint/gguf-names.ts";
import { fileType, modelSettings, settingTensors } from "../format/checkpoint/gguf-settings.ts";
import { tokenizerSettings } from "../format/checkpoint/gguf-vocabulary.ts";
import { encodeSettings, type GgufSource, replaceUint32 } from "../format/files/gguf-writer.ts";
import { lookup } from "../format/files/lookup.ts";
import type { MergedTensor } from "./merged-tensors.ts";

function cannotWrite(modelName: string, found: string, expected: string): UsageError {
  return new UsageError(
    "usage/model",
    `Cannot write model "${modelName}" as GGUF: ${found}, expected ${expected}`,
    {
      hint: "Write a folder instead.",
    },
  );
}

function findFamily(modelName: string, { modelType }: Model): GgufArchitecture {
  const found = lookup(GGUF_ARCHITECTURES, modelType);
  if (found !== undefined) return found;
  const known = Object.keys(GGUF_ARCHITECTURES).join(", ");
  throw cannotWrite(modelName, `family ${modelType}`, `one of ${known}`);
}

/** Gives a tensor its name and order of rows in GGUF files. */
function toSource(modelName: string, model: Model, { name, shape, storage, load }: MergedTensor): GgufSource {
  const found = toGgufName(findFamily(modelName, model), name);
  if (found === null) throw cannotWrite(modelName, `tensor "${name}"`, `tensors of ${model.modelType} alone`);
  const { ggufName, reordered } = found;
  if (reordered === null) return { name: ggufName, shape, storage, load };
  const attention = model.layers[0]?.attention;
  const numHeads = {
    num_attention_heads: attention?.numHeads ?? 1,
    num_key_value_heads: attention?.numKeyValueHeads ?? 1,
  };
  const order = fileRowOrder(shape[0] ?? 0, numHeads[reordered]);
  return { name: ggufName, shape, storage, load: async () => permuteRows(await load(), order) };
}

/** The model that is written. */
export interface GgufModel {
  readonly name: string;
  readonly model: Model;
  readonly checkpoint: Checkpoint;
  /** The kind of most matrices; null: that of the checkpoint. */
  readonly kind: StorageName | null;
}

/**
 * Writes a copy of a GGUF file with the changed tensors of `tensors`. As long as these are tensors of the file, of the
 * same kinds, everything else keeps its bytes; else the settings do. A tensor that the file lacks comes last.
 * @throws FailedError failed/write; FormatError, UsageError as `openGguf`
 */
export async function writeGgufOfGguf(
  path: string,
  { name: modelName, model, checkpoint, kind }: GgufModel,
  tensors: readonly MergedTensor[],
): Promise<void> {
  const file = await openGguf(checkpoint.path);
  try {
    const sources = tensors.map((tensor) => ({ ...tensor, ...toSource(modelName, model, tensor) }));
    const isKept = ({ name, storage }: GgufSource): boolean => file.tensors.get(name)?.storage === storage;
    if (sources.every(isKept)) {
      const changed = sources.filter(({ isChanged }) => isChanged);
      return await patchGguf(file, path, new Map(changed.map(({ name, load }) => [name, load])));
    }
    const byName = new Map<string, GgufSource>(sources.map((source) => [source.name, source]));
    // Tensors that are no weights, such as the factors of rotary frequencies, stay.
    const old = [...file.tensors.values()].map(
      (tensor) => byName.get(tensor.name) ?? { ...tensor, load: () => file.read(tensor) },
    );
    const added = sources.filter(({ name }) => !file.tensors.has(name));
    const settings = await file.readSettings();
    const isOfKind = kind === null ? settings : replaceUint32(settings, "general.file_type", fileType(kind));
    await writeGguf(path, isOfKind, [...old, ...added]);
  } finally {
    await file.close();
  }
}

/**
 * Writes a GGUF file of a folder's model, with settings and tokenizer made from the folder's.
 * @throws UsageError usage/model for a family or a tokenizer that GGUF files cannot hold; FailedError failed/write
 */
export async function writeGgufOfFolder(
  path: string,
  { name, model, checkpoint, kind }: GgufModel,
  tensors: readonly MergedTensor[],
): Promise<void> {
  findFamily(name, model);
  const { tokenizerFiles, generationConfig } = checkpoint;
  if (tokenizerFiles === null) throw cannotWrite(name, "it has no tokenizer.json", "a tokenizer");
  const settings = encodeSettings({
    ...modelSettings(name, model, findFamily(name, model)),
    ...(kind === null ? {} : { "general.file_type": { type: "uint32", value: fileType(kind) } as const }),
    ...tokenizerSettings(name, tokenizerFiles, { vocabSize: model.vocabSize ?? 0, generationConfig }),
  });
  const sources = tensors.map((tensor) => toSource(name, model, tensor));
  await writeGguf(path, settings, [...settingTensors(model), ...sources]);
}
