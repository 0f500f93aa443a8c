/** @file Merged models as GGUF files: a copy of the base's file with changed weights, or a new file of a folder's model. */
import { UsageError } from "../../errors.ts";
import type { StorageName } from "../../quant/storages.ts";
import type { StoredTensor } from "../../quant/stored-tensor.ts";
import type { Checkpoint } from "../../format/checkpoint/checkpoint.ts";
import { openGguf, patchGguf, writeGguf } from "../../format/by-path.ts";
import { makeConfig } from "../../format/checkpoint/gguf/gguf-config.ts";
import { foldingOf } from "../../format/checkpoint/gguf/gguf-factors.ts";
import { settingOfTensor } from "../../format/checkpoint/gguf/gguf-setting-tensors.ts";
import { translateName } from "../../format/checkpoint/gguf/gguf-names.ts";
import { withTensorsApart } from "../../format/checkpoint/gguf/joined-tensors.ts";
import { fileType, modelSettings, settingTensors } from "../../format/checkpoint/gguf/gguf-settings.ts";
import { tokenizerSettings } from "../../format/checkpoint/gguf/gguf-vocabulary.ts";
import {
  encodeSettings,
  type GgufValue,
  replaceFloat32s,
  replaceUint32,
} from "../../format/files/gguf/gguf-setting-bytes.ts";
import type { GgufSource } from "../../format/files/gguf/gguf-writer.ts";
import { findGgufFamily } from "../../models/families.ts";
import { Model } from "../../models/model.ts";
import { findDifference } from "../../models/same-model.ts";
import { HEAD, cannotWrite, listsOf, type MergedSource, rulesOf, toSources } from "./gguf-sources.ts";
import type { MergedTensor } from "./merged-tensors.ts";

/** Reads the file's settings back, and compares the model. @throws UsageError usage/model when it would be another model */
async function requireSameModel(
  modelName: string,
  model: Model,
  settings: Readonly<Record<string, GgufValue>>,
  sources: readonly GgufSource[],
): Promise<void> {
  const metadata = Object.fromEntries(
    Object.entries(settings).map(([key, { type, value }]) => [
      key,
      type === "float32" ? Math.fround(value) : value,
    ]),
  );
  const byName = new Map(sources.map((source) => [source.name, source]));
  const rules = rulesOf(modelName, model);
  const family =
    rules === model.family.gguf
      ? findGgufFamily(modelName, rules.architecture, metadata)
      : { ...model.family, gguf: rules };
  const tensors = new Map(sources.map((source) => [source.name, { ...source, offset: 0, sizeBytes: 0 }]));
  const read = async ({ name }: { readonly name: string }): Promise<StoredTensor> =>
    await byName.get(name)!.load();
  const config = await makeConfig({ path: modelName, metadata, tensors, read }, family).catch(
    (cause: unknown) => {
      if (!(cause instanceof UsageError)) throw cause;
      const found = `a file that could not be read again (${cause.message})`;
      throw cannotWrite(modelName, found, "a model that it can describe");
    },
  );
  const hasHead = byName.has(HEAD);
  const kept = foldingOf(model, rules, hasHead)?.model ?? model;
  const difference = findDifference(hasHead ? kept.untied() : kept, new Model(family, config));
  if (difference === null) return;
  throw cannotWrite(
    modelName,
    `such a file of a ${family.modelType} model cannot store ${difference}`,
    "a model that it can describe",
  );
}

interface GgufModel {
  readonly name: string;
  readonly model: Model;
  readonly checkpoint: Checkpoint;
  /** The kind of most matrices; null: as in the checkpoint. */
  readonly kind: StorageName | null;
}

/**
 * Writes a copy of a GGUF file with the changed tensors of `tensors`. If all are tensors of the file with the same kinds, all
 * other bytes stay; otherwise the settings stay. Tensors that the file lacks come last.
 * @throws FailedError failed/write; FormatError, UsageError as `openGguf`
 */
export async function writeGgufOfGguf(
  path: string,
  { name: modelName, model, checkpoint, kind }: GgufModel,
  tensors: readonly MergedTensor[],
): Promise<void> {
  const stored = await openGguf(checkpoint.path);
  const rules = rulesOf(modelName, model);
  const file = withTensorsApart(stored, rules);
  try {
    const sources = toSources(modelName, model, tensors);
    // A tensor with changed numbers may have another kind than in the file.
    const keepsKind = ({ name, storage, isOwn }: MergedSource): boolean => {
      const found = file.tensors.get(name);
      return found !== undefined && (isOwn || found.storage === storage);
    };
    const changedInSettings = tensors.filter(
      ({ name, isChanged }) => isChanged && settingOfTensor(rules, name) !== null,
    );
    if (file === stored && sources.every(keepsKind) && changedInSettings.length === 0) {
      const changed = sources.filter(({ isChanged }) => isChanged);
      return await patchGguf(file, path, new Map(changed.map(({ name, load }) => [name, load])));
    }
    const byName = new Map(sources.map((source) => [source.name, source]));
    // Tensors that are not weights, such as the factors of rotary frequencies, stay.
    const kept = [...file.tensors.values()].filter(({ name }) => !translateName(rules, name)?.isReadOnly);
    const old = kept.map((tensor): GgufSource => {
      const source = byName.get(tensor.name);
      return source === undefined || source.isOwn ? { ...tensor, load: () => file.read(tensor) } : source;
    });
    const added = sources.filter(({ name }) => !file.tensors.has(name));
    const lists = Object.entries(await listsOf(modelName, model, changedInSettings));
    const settings = lists.reduce(
      (all, [key, { value }]) => replaceFloat32s(all, key, value),
      await file.readSettings(),
    );
    const isOfKind = kind === null ? settings : replaceUint32(settings, "general.file_type", fileType(kind));
    await writeGguf(path, isOfKind, [...old, ...added]);
  } finally {
    await file.close();
  }
}

/** The licence, which a folder has in its card. */
function licenseSetting({ license }: Checkpoint): Record<string, GgufValue> {
  return license === null ? {} : { "general.license": { type: "string", value: license } };
}

/**
 * Writes a GGUF file of a folder's model, with settings and tokenizer converted from the folder's.
 * @throws UsageError usage/model for a family or a tokenizer that GGUF files cannot represent; FailedError failed/write
 */
export async function writeGgufOfFolder(
  path: string,
  { name, model, checkpoint, kind }: GgufModel,
  tensors: readonly MergedTensor[],
): Promise<void> {
  const rules = rulesOf(name, model);
  const { tokenizerFiles, generationConfig } = checkpoint;
  if (tokenizerFiles === null) throw cannotWrite(name, "it has no tokenizer.json", "a tokenizer");
  const settings = modelSettings(name, model, rules);
  const sources = [...settingTensors(model), ...toSources(name, model, tensors)];
  await requireSameModel(name, model, settings, sources);
  const all = encodeSettings({
    ...settings,
    ...(await listsOf(name, model, tensors)),
    ...licenseSetting(checkpoint),
    ...(kind === null ? {} : { "general.file_type": { type: "uint32", value: fileType(kind) } as const }),
    ...tokenizerSettings(name, tokenizerFiles, { vocabSize: model.vocabSize ?? 0, generationConfig }),
  });
  await writeGguf(path, all, sources);
}
