/**
 * @file Copies of models from the Hugging Face hub, or a mirror of it (`HF_ENDPOINT`, `HF_TOKEN`, `HF_HUB_OFFLINE`).
 *
 * The list of a repository (hub-list.ts) says which files there are; their bytes are fetched one file after another.
 */
import { dirname, join } from "node:path";
import { findForm } from "../../format/checkpoint/codes/codes-forms.ts";
import { TOOL_USE_FILE } from "../../format/checkpoint/tool-use-template.ts";
import { disk } from "../../format/files/disk/calls.ts";
import { makeFolders } from "../../format/files/disk/make-folders.ts";
import { readConfig } from "../../format/checkpoint/config-file.ts";
import { nodeFolder } from "../../format/files/node-folder.ts";
import { entryFolder } from "../models-folder.ts";
import { download } from "./download.ts";
import { type Endpoint, isOffline, readEndpoint } from "../remote/endpoint.ts";
import { listRepository, type ListedFile } from "../remote/hub-list.ts";
import { findDamage, MANIFEST_FILE, writeManifest } from "./manifest.ts";
import type { ModelName } from "../model-name.ts";
import {
  unreachable,
  UnreachableError,
  type Found,
  type SourceContext,
  type Unreachable,
} from "../source.ts";
import { makeFolder } from "./staging.ts";

/** Name of the hub among sources. */
export const HUB_NAME = "Hugging Face hub";

const OTHER_FILES = new Set([
  "config.json",
  "model.safetensors.index.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "chat_template.jinja",
  "generation_config.json",
  "preprocessor_config.json",
  "quantize_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  TOOL_USE_FILE,
  // Contains the licence.
  "README.md",
]);
const isWeights = ({ name }: ListedFile): boolean => name.endsWith(".safetensors");
const MODEL_SHARD = /^model(-\d+-of-\d+)?\.safetensors$/;

/** Chooses the files that graft reads, small ones first; other spellings of the same weights are left out. */
function chooseFiles(files: readonly ListedFile[]): ListedFile[] {
  const weights = files.filter(isWeights);
  const shards = weights.filter(({ name }) => MODEL_SHARD.test(name));
  const others = files.filter(({ name }) => OTHER_FILES.has(name));
  return [...others, ...(shards.length > 0 ? shards : weights)];
}

/** Lists and chooses. @throws UnreachableError when the repository has no model that graft reads */
async function findFiles(
  repository: string,
  revision: string,
  endpoint: Endpoint,
  context: SourceContext,
): Promise<ListedFile[]> {
  const { files, folders, inFolders } = await listRepository({ repository, revision }, endpoint, context);
  const folder = dirname(TOOL_USE_FILE);
  const more = folders.includes(folder)
    ? (await listRepository({ repository, revision, folder }, endpoint, context)).files
    : [];
  const chosen = chooseFiles([...more, ...files]);
  if (!chosen.some(({ name }) => name === "config.json"))
    throw new UnreachableError("it has no config.json there");
  if (!chosen.some(isWeights)) {
    const isBelow = inFolders.some((name) => name.endsWith(".safetensors"));
    throw new UnreachableError(
      `it has no .safetensors files there${isBelow ? ", only in subfolders, which graft does not read" : ""}`,
    );
  }
  return chosen;
}

/** What is copied, and from where. */
interface Copying {
  readonly endpoint: Endpoint;
  readonly repository: string;
  readonly branch: string;
  readonly context: SourceContext;
}

/** @throws UsageError "usage/quantization" if the fetched configuration has a quantization that graft cannot read */
async function requireForm(path: string, repository: string): Promise<void> {
  const folder = nodeFolder(path);
  const { settings } = await readConfig(folder);
  await findForm({ ...folder, path: repository }, settings);
}

/** Fetches the chosen files into `folder` unless they are there, and removes all other files. */
async function fetchFiles(
  folder: string,
  files: readonly ListedFile[],
  { endpoint, repository, branch, context }: Copying,
): Promise<void> {
  const totalBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
  const firstWeights = files.find(isWeights);
  let doneBytes = 0;
  for (const file of files) {
    // Refused before the large files are fetched.
    if (file === firstWeights) await requireForm(folder, repository);
    const report = (bytes: number): void =>
      context.onProgress({ source: HUB_NAME, file: file.name, receivedBytes: doneBytes + bytes, totalBytes });
    report(0);
    const url = `${endpoint.url}/${repository}/resolve/${encodeURIComponent(branch)}/${file.name.split("/").map(encodeURIComponent).join("/")}`;
    await makeFolders(dirname(join(folder, file.name)));
    await download(
      join(folder, file.name),
      { url, headers: endpoint.headersFor(url), sizeBytes: file.sizeBytes, digest: file.digest },
      { ...context, onBytes: report },
    );
    doneBytes += file.sizeBytes;
    report(0);
  }
  await writeManifest(folder, files);
  const wanted = new Set([MANIFEST_FILE, ...files.map(({ name }) => name.split("/")[0])]);
  const surplus = (await disk().readdir(folder)).filter((name) => !wanted.has(name));
  for (const name of surplus) await disk().rm(join(folder, name), { recursive: true, force: true });
}

/**
 * Copies a model, or those of its files that `choose` returns, into its entry of a folder of models.
 * @throws FailedError "source/corrupt", "failed/write"; UsageError "usage/quantization"
 */
export async function copyFromHub(
  { repository, revision }: ModelName,
  modelsFolder: string,
  context: SourceContext,
  choose: (files: readonly ListedFile[]) => readonly ListedFile[] = (files) => files,
): Promise<Found | Unreachable | null> {
  if (repository === null) return null;
  if (isOffline(context.env)) return unreachable("HF_HUB_OFFLINE is set");
  const branch = revision ?? "main";
  const target = entryFolder(modelsFolder, repository, revision);
  try {
    const endpoint = readEndpoint(context.env);
    const files = choose(await findFiles(repository, branch, endpoint, context));
    const damage = await findDamage(target, context);
    await makeFolder(
      target,
      "hub",
      (folder) => fetchFiles(folder, files, { endpoint, repository, branch, context }),
      {
        isDamaged: damage !== null,
      },
    );
    return { kind: "found", path: target };
  } catch (error) {
    if (error instanceof UnreachableError) return unreachable(error.message);
    throw error;
  }
}
