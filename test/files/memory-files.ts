/** @file The files of a folder in memory, as `memoryFolder` takes them: no disk, so that thousands can be tried. */
import type { FolderFile } from "../../src/format/files/folder-file.ts";
import { modelFolderFiles } from "../../src/format/checkpoint/model-folder-files.ts";
import { openModel } from "../../src/models/families.ts";
import { byteTokenizerFiles } from "../tiny/byte-tokenizer.ts";
import { tinyModelParts, type TinyModelOptions } from "../tiny/model.ts";

/** Contents by the name of the file: text of those that are text. */
export type MemoryFiles = Record<string, string | Uint8Array>;

/** Fills files in memory. */
export async function folderInMemory(files: readonly FolderFile[]): Promise<MemoryFiles> {
  const filled: MemoryFiles = {};
  for (const file of files) {
    const { name } = file;
    const parts: Uint8Array[] = [];
    await file.fill(async (bytes) => void parts.push(bytes.slice()));
    const bytes = Buffer.concat(parts);
    filled[name] = name.endsWith(".safetensors") ? new Uint8Array(bytes) : bytes.toString("utf8");
  }
  return filled;
}

/** The files of a tiny model. */
export async function tinyModelFiles(options: TinyModelOptions = {}): Promise<MemoryFiles> {
  const parts = tinyModelParts(options);
  const tokenizerFiles = openModel(parts.config).image === null ? byteTokenizerFiles() : null;
  return await folderInMemory(modelFolderFiles({ ...parts, generationConfig: null, tokenizerFiles }));
}
