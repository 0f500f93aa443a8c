/** @file A model of which only the configuration is there, for plans: the sizes of its tensors are known, their numbers are not. */
import { FormatError } from "../../errors.ts";
import { tellsClasses, withClasses } from "../../models/config/class-head.ts";
import type { RawConfig } from "../../models/config/raw-config.ts";
import { openModel } from "../../models/families.ts";
import type { TensorSpec } from "../../models/graphs/sites.ts";
import { storedBytes } from "../../quant/storage.ts";
import { STORAGES } from "../../quant/storages.ts";
import { type Folder, readJson } from "../files/folder.ts";
import type { Checkpoint, TensorInfo } from "./checkpoint.ts";
import { findForm } from "./codes/codes-forms.ts";
import { outlineStorage, unknownSizes } from "./outline.ts";
import { readTokenizerFiles } from "./tokenizer-folder.ts";

/** Lists what files of a model hold. @throws UsageError "usage/model" */
function tensorsOf(config: RawConfig): readonly TensorSpec[] {
  try {
    return [...openModel(config).tensors.values()];
  } catch (error) {
    if (tellsClasses(config)) throw error;
    // An encoder is a model once a run gives it classes: its files hold what lies before their head.
    const classifier = orNull(() => openModel(withClasses(config, ["LABEL_0", "LABEL_1"])));
    if (classifier === null) throw error;
    const ofHead = new Set(classifier.head.tensors.map(({ name }) => name));
    return [...classifier.tensors.values()].filter(({ name }) => !ofHead.has(name));
  }
}

function orNull<T>(make: () => T): T | null {
  try {
    return make();
  } catch {
    return null;
  }
}

/**
 * Opens a folder without weights; no tensor can be read.
 * @throws FormatError "format/json"; UsageError "usage/model" for weights that no configuration tells the sizes of, or no family;
 * as `findForm`
 */
export async function openOutline(folder: Folder): Promise<Checkpoint> {
  const { path } = folder;
  const config = await readJson(folder, "config.json");
  const storage = outlineStorage(config);
  if (storage === null) {
    await findForm(folder, config);
    throw unknownSizes(path, config);
  }
  const tensors = tensorsOf(config).map(({ name, shape }): [string, TensorInfo] => [
    name,
    { name, shape, storage, sizeBytes: storedBytes(STORAGES[storage], shape) },
  ]);
  const refuse = (name: string): Promise<never> =>
    Promise.reject(
      new FormatError("format/file", `Cannot read tensor "${name}" of "${path}": there are no weights`, {
        hint: "Fetch the whole model.",
      }),
    );
  return {
    path,
    format: "hf",
    config,
    generationConfig: null,
    tensors: new Map(tensors),
    tokenizerFiles: await readTokenizerFiles(folder),
    unusedTokenizerFiles: null,
    license: null,
    read: refuse,
    readInto: refuse,
    heldBytes: 0,
    view: () => null,
    close: () => Promise.resolve(),
  };
}
