/**
 * @file Models, adapters and their files by paths on disk: connects functions that read a `Folder` or `ByteSource`, or plan files,
 * to Node's file system.
 */
import { z } from "zod";
import { basename, dirname } from "node:path";
import { FormatError } from "../errors.ts";
import type { BaseModel } from "../models/base/base-model.ts";
import { A_NAME, checkArguments, lazily } from "../messages/arguments.ts";
import { type Adapter, AN_ADAPTER } from "../peft/attach.ts";
import type { Method } from "../peft/method.ts";
import { describeFileProblem } from "../messages/system-error.ts";
import * as adapters from "./adapters/adapter.ts";
import * as adapterReading from "./adapters/read-adapter.ts";
import * as classes from "./adapters/adapter-classes.ts";
import { recordBase } from "./adapters/base-record.ts";
import * as adapterFolder from "./adapters/adapter-folder.ts";
import { describeFileName, wrongContents } from "./contents.ts";
import { type Checkpoint, GGUF_ENDING } from "./checkpoint/checkpoint.ts";
import { type ModelFolderParts, modelFolderFiles } from "./checkpoint/model-folder-files.ts";
import { type LoadOptions, loadWeights } from "./checkpoint/load-model.ts";
import * as checkpoints from "./checkpoint/open-checkpoint.ts";
import { type FolderOptions, writeFileAtomic, writeFolderAtomic } from "./files/atomic.ts";
import { ByteFile } from "./files/byte-file.ts";
import { disk } from "./files/disk/calls.ts";
import * as folders from "./files/folder.ts";
import type { Folder } from "./files/folder.ts";
import * as gguf from "./files/gguf/gguf.ts";
import type { GgufFile, GgufSettings } from "./files/gguf/gguf.ts";
import type { GgufSource, LoadStored } from "./files/gguf/gguf-writer.ts";
import type { JsonObject } from "./files/json-file.ts";
import { isOutline } from "./checkpoint/outline.ts";
import { openOutline } from "./checkpoint/outlined-checkpoint.ts";
import { nodeFolder } from "./files/node-folder.ts";
import * as safetensors from "./files/safetensors/safetensors.ts";

/** Whether a path is a folder. @throws FormatError format/file when it does not exist. */
async function isFolder(path: string): Promise<boolean> {
  try {
    return (await disk().stat(path)).isDirectory();
  } catch (error) {
    throw new FormatError(
      "format/file",
      `Cannot open model "${path}": ${describeFileProblem(error)}, expected a model folder or a .gguf file`,
      { hint: "Check the path, or give the name of a model to download.", cause: error },
    );
  }
}

/** Opens the base model in a folder or in a .gguf file; the caller closes it. @throws as for a `Folder` */
export async function openCheckpoint(path: string): Promise<Checkpoint> {
  if (await isFolder(path)) return await checkpoints.openCheckpoint(nodeFolder(path));
  if (path.endsWith(GGUF_ENDING))
    return await checkpoints.openGgufIn(nodeFolder(dirname(path)), basename(path));
  throw wrongContents("open model", path, describeFileName(path), "a model folder or a .gguf file");
}

/** Does the same, but also opens a folder with a configuration and no weights, for plans. @throws as `openOutline` */
export async function openOutlined(path: string): Promise<Checkpoint> {
  const folder = (await isFolder(path)) ? nodeFolder(path) : null;
  return folder && isOutline(await folder.names()) ? await openOutline(folder) : await openCheckpoint(path);
}

/** A loaded model with its open checkpoint, which the caller closes. */
export interface LoadedModel {
  readonly base: BaseModel;
  readonly checkpoint: Checkpoint;
}

/** How a model is loaded from disk. */
export interface LoadByPathOptions extends LoadOptions {
  /** Folder of an adapter that will be used with the model: a model without classes gets the adapter's head of classes. */
  readonly adapter?: string | undefined;
}

/** Loads a model from a folder or file. @throws as `openCheckpoint`, `withHeadOf` and `loadWeights` */
export async function loadModel(path: string, options: LoadByPathOptions = {}): Promise<LoadedModel> {
  return await loadOpened(await openCheckpoint(path), { name: path, ...options });
}

/** Loads an open checkpoint, which is closed when that fails. @throws as `withHeadOf` and `loadWeights` */
export async function loadOpened(
  opened: Checkpoint,
  { adapter, ...options }: LoadByPathOptions,
): Promise<LoadedModel> {
  try {
    const checkpoint = await withHeadOf(opened, adapter);
    return { base: await loadWeights(checkpoint.path, checkpoint, options), checkpoint };
  } catch (error) {
    await opened.close();
    throw error;
  }
}

/** Gives a checkpoint without classes the head of classes of an adapter, if there is one. @throws as for a `Folder` */
export async function withHeadOf(checkpoint: Checkpoint, adapter: string | undefined): Promise<Checkpoint> {
  if (adapter === undefined) return checkpoint;
  return await classes.withHeadOf(checkpoint, await adapterFolderAt(adapter));
}

/** Writes a Hugging Face model folder, whole or not at all. @throws as `writeFolderAtomic` */
export async function writeModel(
  path: string,
  parts: ModelFolderParts,
  options?: Pick<FolderOptions, "isNew">,
): Promise<void> {
  await writeFolderAtomic(path, modelFolderFiles(parts), options);
}

const PATH = lazily(() => z.strictObject({ path: A_NAME }));
const WRITTEN = lazily(() => PATH().extend({ adapter: AN_ADAPTER, origin: adapters.AN_ORIGIN }));

/** The folder of an adapter. @throws FormatError format/file when it is a file or does not exist */
async function adapterFolderAt(path: string): Promise<Folder> {
  checkArguments("readAdapter", PATH, { path });
  let isFile: boolean;
  try {
    isFile = (await disk().stat(path)).isFile();
  } catch (error) {
    throw new FormatError(
      "format/file",
      `Cannot read adapter "${path}": ${describeFileProblem(error)}, expected an adapter folder`,
      { hint: "Check the path: an adapter is a folder on this machine.", cause: error },
    );
  }
  if (isFile) throw wrongContents("read adapter", path, describeFileName(path), "an adapter folder");
  return nodeFolder(path);
}

/** Reads an adapter folder onto a model. @throws as for a `Folder` */
export async function readAdapter(
  path: string,
  base: BaseModel,
  methods?: readonly Method[],
): Promise<adapterReading.ReadAdapter> {
  return await adapterReading.readAdapter(await adapterFolderAt(path), base, methods);
}

/** Copies the numbers of a saved run into an adapter with the same settings. @throws as for a `Folder` */
export async function restoreAdapter(path: string, adapter: Adapter): Promise<void> {
  await adapterReading.restoreAdapter(nodeFolder(path), adapter);
}

/** Writes the folder of what was trained on a model, all files or none. @throws FailedError failed/write */
export async function writeAdapter(
  path: string,
  adapter: Adapter,
  origin: adapters.AdapterOrigin,
): Promise<void> {
  checkArguments("writeAdapter", WRITTEN, { path, adapter, origin });
  const baseRecord = await recordBase(origin.base);
  await writeFolderAtomic(path, adapters.adapterFiles(adapter, { baseRecord, ...origin }));
}

/** Reads the settings of an adapter folder. @throws as for a `Folder` */
export async function readAdapterConfig(path: string): Promise<JsonObject> {
  return await adapterFolder.readAdapterConfig(await adapterFolderAt(path));
}

/** Reads an adapter folder; the caller owns the tensors. @throws as for a `Folder` */
export async function readAdapterFolder(path: string): Promise<adapterFolder.AdapterFiles> {
  return await adapterFolder.readAdapterFolder(await adapterFolderAt(path));
}

/** Writes an adapter folder, all files or none. @throws as `writeFolderAtomic` */
export async function writeAdapterFolder(
  path: string,
  parts: adapterFolder.AdapterFolderParts,
  options?: Pick<FolderOptions, "isNew">,
): Promise<void> {
  await writeFolderAtomic(path, adapterFolder.adapterFolderFiles(parts), options);
}

/** Reads a JSON file that must be an object. @throws FormatError format/file, format/json */
export async function readJson(path: string): Promise<JsonObject> {
  return await folders.readJson(nodeFolder(dirname(path)), basename(path));
}

/** Opens a safetensors file. @throws FormatError format/file, format/json */
export async function openSafetensors(path: string): Promise<safetensors.Safetensors> {
  return await safetensors.openSafetensors(await ByteFile.open(path));
}

/** Opens a GGUF file. @throws FormatError format/file, UsageError usage/model */
export async function openGguf(path: string): Promise<GgufFile> {
  return await gguf.openGguf(await ByteFile.open(path));
}

/** Writes a GGUF file, whole or not at all. @throws FailedError failed/write; as `fillGguf` */
export async function writeGguf(
  path: string,
  settings: GgufSettings,
  tensors: readonly GgufSource[],
): Promise<void> {
  const { fillGguf } = await import("./files/gguf/gguf-writer.ts");
  await writeFileAtomic(path, {
    fill: (write) => fillGguf(write, settings, tensors),
    check: (written) => gguf.checkGguf(written, tensors),
  });
}

/** Writes a patched copy of a GGUF file, whole or not at all. @throws FailedError failed/write; as `fillPatchedGguf` */
export async function patchGguf(
  file: GgufFile,
  path: string,
  replaced: ReadonlyMap<string, LoadStored>,
): Promise<void> {
  const { fillPatchedGguf } = await import("./files/gguf/gguf-writer.ts");
  await writeFileAtomic(path, {
    fill: (write) => fillPatchedGguf(write, file, replaced),
    check: (written) => gguf.checkGguf(written, [...file.tensors.values()]),
  });
}
