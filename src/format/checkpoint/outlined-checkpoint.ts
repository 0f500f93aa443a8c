/** @file A model of which only the configuration is there, for plans: the sizes of its tensors are known, their numbers are not. */
import { FormatError } from "../../errors.ts";
import { openModel } from "../../models/families.ts";
import { storedBytes } from "../../quant/storage.ts";
import { STORAGES } from "../../quant/storages.ts";
import { type Folder, readJson } from "../files/folder.ts";
import type { Checkpoint, TensorInfo } from "./checkpoint.ts";
import { outlineStorage, unknownSizes } from "./outline.ts";
import { readTokenizerFiles } from "./tokenizer-folder.ts";

/**
 * Opens a folder without weights; no tensor can be read.
 * @throws FormatError "format/json"; UsageError "usage/model" for weights that no configuration tells the sizes of, or no family
 */
export async function openOutline(folder: Folder): Promise<Checkpoint> {
  const { path } = folder;
  const config = await readJson(folder, "config.json");
  const storage = outlineStorage(config);
  if (storage === null) throw unknownSizes(path, config);
  const tensors = [...openModel(config).tensors.values()].map(({ name, shape }): [string, TensorInfo] => [
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
    view: () => null,
    close: () => Promise.resolve(),
  };
}
