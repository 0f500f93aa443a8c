/**
 * @file Opens a base model of any format: a folder with config.json and safetensors, or with one .gguf file.
 */
import { FormatError, UsageError } from "../../errors.ts";
import { showValue } from "../../messages/expected.ts";
import { describeFolder, wrongContents } from "../contents.ts";
import { type Folder, pathIn } from "../files/folder.ts";
import {
  type Checkpoint,
  GGUF_ENDING,
  type TokenizerFiles,
  type UnusedTokenizerFiles,
} from "./checkpoint.ts";
import { openGgufCheckpoint } from "./gguf/gguf-checkpoint.ts";
import { openHfCheckpoint } from "./hf-folder.ts";
import { readAnyTokenizerFiles } from "./tokenizer-folder.ts";

function hasTokenizer(files: UnusedTokenizerFiles): files is TokenizerFiles {
  return files.tokenizer !== null;
}

/** Opens a GGUF file of a folder, and reads tokenizer files next to it. @throws as `openCheckpoint` */
export async function openGgufIn(folder: Folder, name: string): Promise<Checkpoint> {
  const unused = await readAnyTokenizerFiles(folder);
  const checkpoint = await openGgufCheckpoint(await folder.open(name));
  if (checkpoint.tokenizerFiles === null)
    return { ...checkpoint, tokenizerFiles: hasTokenizer(unused) ? unused : null };
  const isThere = hasTokenizer(unused) || unused.chatTemplate !== null;
  return isThere ? { ...checkpoint, unusedTokenizerFiles: unused } : checkpoint;
}

/**
 * Opens the base model of a folder; the caller closes it.
 * @throws FormatError format/file, format/json, format/tensor when something is missing, truncated or damaged
 * @throws UsageError usage/model when a GGUF file holds a kind of model or tensor that graft does not know
 */
export async function openCheckpoint(folder: Folder): Promise<Checkpoint> {
  if (typeof (folder as Partial<Folder> | undefined)?.names !== "function") {
    const found = `Cannot open a model by ${showValue(folder)}: expected a Folder`;
    throw new UsageError("usage/model", found, {
      hint: "Create one from files in memory with memoryFolder().",
    });
  }
  const names = await folder.names();
  const ggufNames = names.filter((name) => name.endsWith(GGUF_ENDING));
  const hasOtherWeights = names.some((name) => /\.(safetensors|bin|pth?)$/.test(name));
  const isGguf = ggufNames.length === 1 && !hasOtherWeights;
  if (names.includes("config.json") && !isGguf) return await openHfCheckpoint(folder, names);
  if (ggufNames.length === 1) return await openGgufIn(folder, ggufNames[0]!);
  if (ggufNames.length === 0) {
    const expected = "a folder with config.json or a .gguf file";
    throw wrongContents("open model", folder.path, await describeFolder(folder), expected);
  }
  throw new FormatError(
    "format/file",
    `Cannot open model "${folder.path}": ${ggufNames.length} .gguf files, expected one`,
    { hint: `Give the path of one of them, such as ${pathIn(folder, ggufNames[0]!)}.` },
  );
}
