/**
 * @file PEFT adapter folders: adapter_config.json, adapter_model.safetensors, README.md.
 *
 * This file knows no method: keys of tensors (`base_model.model.…`) and of the config pass through unchanged.
 */
import { FormatError } from "../../errors.ts";
import { NOTE_PREFIX } from "../../peft/contract/adapter-file.ts";
import { widen } from "../../quant/codes/half.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import { describeFolder, wrongContents } from "../contents.ts";
import { type AdapterCardOptions, adapterCard } from "../cards/adapter-card.ts";
import { CARD_FILE, cardFile } from "../cards/model-card.ts";
import { type FolderFile, textFile } from "../files/folder-file.ts";
import { type Folder, readJsonIfPresent } from "../files/folder.ts";
import { formatJson, type JsonObject } from "../files/json-file.ts";
import { openSafetensors } from "../files/safetensors/safetensors.ts";
import { FILE_DTYPES } from "../files/safetensors/safetensors-header.ts";
import { safetensorsFile } from "../files/safetensors/safetensors-writer.ts";
import { type TiedModules, fromTokenFolder, toTokenFolder } from "./token-folder.ts";

const CONFIG_FILE = "adapter_config.json";
const WEIGHTS_FILE = "adapter_model.safetensors";
/** Names of the files that `adapterFolderFiles` plans. */
export const ADAPTER_FILES = [WEIGHTS_FILE, CONFIG_FILE, CARD_FILE] as const;

/** Element types that the tensors of an adapter may have, by their names in files. */
const FLOATS: readonly string[] = [FILE_DTYPES.float32, FILE_DTYPES.float16, FILE_DTYPES.bfloat16];

/** The contents of an adapter folder: settings, tensors in float32, and the metadata in the header of their file. */
export interface AdapterFiles {
  readonly config: JsonObject;
  readonly tensors: ReadonlyMap<string, HostTensor<"float32">>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Refuses an adapter with NaN or infinity, from a run that diverged. @throws FormatError "format/tensor" */
export function refuseNonNumbers(action: string, tensors: AdapterFiles["tensors"]): void {
  for (const [name, { data }] of tensors) {
    if (data.every(Number.isFinite)) continue;
    throw new FormatError(
      "format/tensor",
      `Cannot ${action}: ${name} contains NaN or infinity, expected numbers`,
      { hint: "Choose an earlier checkpoint of the run." },
    );
  }
}

/** Reads the settings of an adapter folder. @throws FormatError format/file when it is not an adapter folder; format/json */
export async function readAdapterConfig(folder: Folder): Promise<JsonObject> {
  const config = await readJsonIfPresent(folder, CONFIG_FILE);
  if (config !== null) return config;
  const expected = `a folder with ${CONFIG_FILE}`;
  throw wrongContents("read adapter", folder.path, await describeFolder(folder), expected);
}

/**
 * Reads an adapter folder; the caller owns the tensors.
 * @throws FormatError format/file, format/json, format/tensor when something is missing, truncated or damaged
 */
export async function readAdapterFolder(folder: Folder): Promise<AdapterFiles> {
  const config = await readAdapterConfig(folder);
  const names = await folder.names();
  if (!names.includes(WEIGHTS_FILE) && names.includes("adapter_model.bin")) {
    throw new FormatError(
      "format/file",
      `Cannot read adapter "${folder.path}": only adapter_model.bin, expected ${WEIGHTS_FILE}`,
      {
        hint: "Pickle files can run code: load the adapter with peft and save it again, which writes safetensors.",
      },
    );
  }
  const weights = await openSafetensors(await folder.open(WEIGHTS_FILE));
  try {
    const tensors = new Map<string, HostTensor<"float32">>();
    for (const [name, { fileDtype }] of weights.tensors) {
      if (!FLOATS.includes(fileDtype)) {
        throw new FormatError(
          "format/tensor",
          `Cannot read tensor "${name}" of "${weights.path}": ${fileDtype}, expected ${FLOATS.join(", ")}`,
          { hint: "Save the adapter again as float32, with the program that made it." },
        );
      }
      tensors.set(name, widen(await weights.read(name)));
    }
    return { ...fromTokenFolder({ config, tensors }), metadata: weights.metadata };
  } finally {
    await weights.close();
  }
}

/** Adds settings that are stored in the header of the tensors' file (notes) to the settings of an adapter. */
export function withNotes({ config, metadata }: Pick<AdapterFiles, "config" | "metadata">): JsonObject {
  const notes = Object.entries(metadata).filter(([key]) => key.startsWith(NOTE_PREFIX));
  return { ...config, ...Object.fromEntries(notes) };
}

/** What `adapterFolderFiles` needs. */
export interface AdapterFolderParts extends AdapterCardOptions {
  /** The configuration; keys that begin with `NOTE_PREFIX` become notes. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly tensors: Iterable<readonly [string, HostTensor]>;
  /** Metadata for the header of the tensors' file; `format` is added. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Tied heads of the model; default: none. */
  readonly ties?: TiedModules;
}

/**
 * Plans the files of an adapter folder: float32 tensors, `inference_mode` true, keys sorted.
 * @throws TypeError when a tensor is not of a float type
 */
export function adapterFolderFiles(parts: AdapterFolderParts): FolderFile[] {
  const named = new Map([...parts.tensors].map(([name, tensor]) => [name, widen(tensor)]));
  const { config: given, tensors } = toTokenFolder(
    { config: parts.config, tensors: named },
    parts.ties ?? [],
  );
  const isNote = ([key]: readonly [string, unknown]): boolean => key.startsWith(NOTE_PREFIX);
  const settings = Object.entries(given);
  const config = Object.fromEntries([
    ...settings.filter((setting) => !isNote(setting)),
    ["inference_mode", true],
  ]);
  const notes = settings.filter(isNote).map(([key, value]) => [key, String(value)]);
  return [
    safetensorsFile(WEIGHTS_FILE, [...tensors], {
      format: "pt",
      ...parts.metadata,
      ...Object.fromEntries(notes),
    }),
    textFile(CONFIG_FILE, formatJson(config)),
    cardFile(adapterCard(config, parts)),
  ];
}
