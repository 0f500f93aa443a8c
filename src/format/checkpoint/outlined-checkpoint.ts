/** @file A model of which only the configuration is there, for plans: the sizes of its tensors are known, their numbers are not. */
import { FormatError, UsageError } from "../../errors.ts";
import { showValue } from "../../messages/expected.ts";
import { openModel } from "../../models/families.ts";
import { storedBytes } from "../../quant/storage.ts";
import { STORAGES } from "../../quant/storages.ts";
import { type Folder, readJson } from "../files/folder.ts";
import type { Checkpoint, TensorInfo } from "./checkpoint.ts";
import { STORAGE_OF } from "./hf-folder.ts";
import { readTokenizerFiles } from "./tokenizer-folder.ts";

const WEIGHTS = /\.(safetensors|gguf|bin|pth?)(\.index\.json)?$/;
/** transformers' own, where a configuration names none. */
const USUAL_DTYPE = "float32";

/** Whether a file holds weights, or says which files do. */
export function isOfWeights(name: string): boolean {
  return WEIGHTS.test(name);
}

/** Whether a folder with these files has a configuration and no weights. */
export function isOutline(names: readonly string[]): boolean {
  return names.includes("config.json") && !names.some(isOfWeights);
}

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

/** The storage that a configuration says its weights have; null where it does not tell their sizes. */
export function outlineStorage(config: Readonly<Record<string, unknown>>): TensorInfo["storage"] | null {
  if (config["quantization_config"] != null) return null;
  const named = namedDtype(config);
  return Object.entries(STORAGE_OF).find(([name]) => name === named)?.[1] ?? null;
}

function namedDtype(config: Readonly<Record<string, unknown>>): unknown {
  const { dtype, torch_dtype: older } = {
    ...(config["text_config"] as typeof config | undefined),
    ...config,
  };
  return dtype ?? older ?? USUAL_DTYPE;
}

function unknownSizes(path: string, config: Readonly<Record<string, unknown>>): UsageError {
  const [what, expected] =
    config["quantization_config"] == null
      ? [`dtype ${showValue(namedDtype(config))}`, Object.keys(STORAGE_OF).join(", ")]
      : ["quantization_config", "weights, whose sizes it does not tell"];
  return new UsageError(
    "usage/model",
    `Cannot plan with the configuration of "${path}": ${what}, expected ${expected}`,
    { hint: "Fetch the whole model, then plan again." },
  );
}
