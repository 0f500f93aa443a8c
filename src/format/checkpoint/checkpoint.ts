/**
 * @file Opening a base model, whatever its format: config, tensors under Hugging Face names, tokenizer files.
 *
 * A path is a folder with config.json and safetensors, a folder with one .gguf file, or a .gguf file.
 */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { FormatError } from "../../errors.ts";
import type { StoredTensor } from "../../quant/storage.ts";
import type { StorageName } from "../../quant/storages.ts";
import { describeFileProblem } from "../files/byte-file.ts";
import { openGgufCheckpoint } from "./gguf-checkpoint.ts";
import { openHfCheckpoint } from "./hf-folder.ts";

export { type ModelParts, modelFolderFiles, writeModel } from "./hf-folder.ts";

/** What is known of a tensor before it is read. `shape` has the rows (outputs) first. */
export interface TensorInfo {
  readonly name: string;
  readonly shape: readonly number[];
  readonly storage: StorageName;
  readonly sizeBytes: number;
}

/** Contents of tokenizer.json and tokenizer_config.json, and the chat template. */
export interface TokenizerFiles {
  readonly tokenizer: Record<string, unknown>;
  readonly config: Record<string, unknown>;
  readonly chatTemplate: string | null;
}

export const MODEL_FORMATS = ["hf", "gguf"] as const;
/** How a model lies on the disk: a Hugging Face folder or a GGUF file. */
export type ModelFormat = (typeof MODEL_FORMATS)[number];

/** How the name of a GGUF file ends. */
export const GGUF_ENDING = ".gguf";

/** An open base model. Whoever opened it closes it. */
export interface Checkpoint {
  readonly path: string;
  readonly format: ModelFormat;
  /** Settings under the names of Hugging Face's config.json. */
  readonly config: Record<string, unknown>;
  readonly generationConfig: Record<string, unknown> | null;
  /** Tensors under Hugging Face names; buffers of whole numbers are left out. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** Reads one tensor; the caller owns it. @throws FormatError format/tensor, format/file */
  read(name: string): Promise<StoredTensor>;
  /**
   * Writes the values of a tensor into float32 memory of the caller, without memory of its own; null when this kind of
   * file can only be read whole tensors at a time.
   */
  readonly readInto: ((name: string, into: Float32Array) => Promise<void>) | null;
  readonly tokenizerFiles: TokenizerFiles | null;
  close(): Promise<void>;
}

/** Lists a folder; null when `path` is a file. @throws FormatError format/file when there is nothing. */
async function listFolder(path: string): Promise<readonly string[] | null> {
  try {
    return (await stat(path)).isDirectory() ? (await readdir(path)).toSorted() : null;
  } catch (error) {
    throw new FormatError(
      "format/file",
      `Cannot open model "${path}": ${describeFileProblem(error)}, expected a model folder or a .gguf file`,
      { hint: "Check the path, or give the name of a model to download.", cause: error },
    );
  }
}

/**
 * Opens a base model.
 * @throws FormatError format/file, format/json, format/tensor when something is missing, truncated or damaged
 * @throws UsageError usage/model when a GGUF file holds a kind of model or tensor that graft does not know
 */
export async function openCheckpoint(path: string): Promise<Checkpoint> {
  const names = await listFolder(path);
  if (names === null) {
    if (path.endsWith(GGUF_ENDING)) return await openGgufCheckpoint(path);
    throw new FormatError(
      "format/file",
      `Cannot open model "${path}": a file, expected a folder or a .gguf file`,
      {
        hint: "Give the folder that holds config.json.",
      },
    );
  }
  if (names.includes("config.json")) return await openHfCheckpoint(path, names);
  const ggufNames = names.filter((name) => name.endsWith(GGUF_ENDING));
  if (ggufNames.length === 1) return await openGgufCheckpoint(join(path, ggufNames[0]!));
  throw new FormatError(
    "format/file",
    ggufNames.length === 0
      ? `Cannot open model "${path}": no config.json and no .gguf file, expected a model folder`
      : `Cannot open model "${path}": ${ggufNames.length} .gguf files, expected one`,
    {
      hint:
        ggufNames.length === 0
          ? "Give the folder that holds config.json, or check that the download is complete."
          : `Give the path of one of them, such as ${join(path, ggufNames[0]!)}.`,
    },
  );
}
