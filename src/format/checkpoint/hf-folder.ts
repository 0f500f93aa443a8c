/** @file Model folders as Hugging Face has them: config.json, safetensors, tokenizer files. */
import { join } from "node:path";
import { FormatError } from "../../errors.ts";
import type { DType } from "../../graph/dtype.ts";
import type { StorageName } from "../../quant/storages.ts";
import { type FolderFile, textFile, writeFolderAtomic } from "../files/atomic.ts";
import type { Checkpoint, TensorInfo, TokenizerFiles } from "./checkpoint.ts";
import {
  formatJson,
  type JsonObject,
  readJson,
  readJsonIfPresent,
  readTextIfPresent,
} from "../files/json-file.ts";
import {
  openSafetensors,
  openSafetensorsIndex,
  type Safetensors,
  safetensorsFile,
  type TensorSource,
} from "../files/safetensors.ts";

/** Storage kind of each element type that weights can have. */
const STORAGE_OF: Partial<Record<DType, StorageName>> = { float32: "f32", float16: "f16", bfloat16: "bf16" };

/** The element type of a storage kind in a model folder; null for kinds that such folders do not know. */
export function folderDtype(storage: StorageName): DType | null {
  const found = Object.entries(STORAGE_OF).find(([, kind]) => kind === storage);
  return (found?.[0] as DType | undefined) ?? null;
}

/** Finds the chat template in tokenizer_config.json: a string, or a list of named ones. */
function templateOf(config: JsonObject): string | null {
  const template = config["chat_template"];
  if (typeof template === "string") return template;
  if (!Array.isArray(template)) return null;
  const named = template as readonly { name?: unknown; template?: unknown }[];
  const found = named.find(({ name }) => name === "default")?.template;
  return typeof found === "string" ? found : null;
}

/** Reads the tokenizer files of a folder; null without tokenizer.json. @throws FormatError format/json */
export async function readTokenizerFiles(path: string): Promise<TokenizerFiles | null> {
  const tokenizer = await readJsonIfPresent(join(path, "tokenizer.json"));
  if (tokenizer === null) return null;
  const config = (await readJsonIfPresent(join(path, "tokenizer_config.json"))) ?? {};
  const chatTemplate = (await readTextIfPresent(join(path, "chat_template.jinja"))) ?? templateOf(config);
  return { tokenizer, config, chatTemplate };
}

async function openWeights(path: string, names: readonly string[]): Promise<Safetensors> {
  if (names.includes("model.safetensors")) return await openSafetensors(join(path, "model.safetensors"));
  const index = "model.safetensors.index.json";
  if (names.includes(index)) return await openSafetensorsIndex(join(path, index));
  const single = names.filter((name) => name.endsWith(".safetensors") && !name.startsWith("adapter_"));
  if (single.length === 1) return await openSafetensors(join(path, single[0]!));
  const pickled = names.find((name) => /^(pytorch_model|model).*\.(bin|bin\.index\.json|pt|pth)$/.test(name));
  throw new FormatError(
    "format/file",
    `Cannot open model "${path}": ${pickled === undefined ? "no weights" : `only ${pickled}`}, expected model.safetensors`,
    {
      hint:
        pickled === undefined
          ? "Check that the download is complete."
          : "Pickle files can run code: convert it with save_pretrained(..., safe_serialization=True) of transformers.",
    },
  );
}

/** Lists the float tensors of the weights. @throws FormatError format/tensor for float types unknown to graft. */
function listTensors(weights: Safetensors): Map<string, TensorInfo> {
  const tensors = new Map<string, TensorInfo>();
  for (const { name, dtype, fileDtype, shape, sizeBytes } of weights.tensors.values()) {
    const storage = dtype === null ? undefined : STORAGE_OF[dtype];
    if (storage !== undefined) tensors.set(name, { name, shape, storage, sizeBytes });
    else if (fileDtype.startsWith("F")) {
      throw new FormatError(
        "format/tensor",
        `Cannot read tensor "${name}" of "${weights.path}": ${fileDtype}, expected F32, F16 or BF16`,
        { hint: "Save the model again as float32 or bfloat16." },
      );
    }
  }
  return tensors;
}

/** Opens a model folder with config.json; `names` are its entries. @throws FormatError */
export async function openHfCheckpoint(path: string, names: readonly string[]): Promise<Checkpoint> {
  const config = await readJson(join(path, "config.json"));
  const generationConfig = await readJsonIfPresent(join(path, "generation_config.json"));
  const tokenizerFiles = await readTokenizerFiles(path);
  const weights = await openWeights(path, names);
  try {
    const tensors = listTensors(weights);
    return {
      path,
      format: "hf",
      config,
      generationConfig,
      tensors,
      tokenizerFiles,
      async read(name) {
        const { dtype, shape, data } = await weights.read(name);
        const storage = STORAGE_OF[dtype];
        if (storage !== undefined) return { storage, shape, planes: { data: { dtype, shape, data } } };
        throw new FormatError(
          "format/tensor",
          `Cannot read weight "${name}" of "${path}": ${dtype}, expected a float type`,
          { hint: "The file keeps whole numbers under the name of a weight: convert the model again." },
        );
      },
      readInto: (name, into) => weights.readInto(name, into),
      close: () => weights.close(),
    };
  } catch (error) {
    await weights.close();
    throw error;
  }
}

/** Parts of a model folder to write. */
export interface ModelParts {
  readonly config: Record<string, unknown>;
  readonly generationConfig: Record<string, unknown> | null;
  readonly tokenizerFiles: TokenizerFiles | null;
  readonly tensors: Iterable<readonly [string, TensorSource]>;
}

/** Plans the files of an ordinary Hugging Face model folder; tensors may be made one by one. */
export function modelFolderFiles(parts: ModelParts): FolderFile[] {
  const { config, generationConfig, tokenizerFiles, tensors } = parts;
  const files: FolderFile[] = [
    safetensorsFile("model.safetensors", tensors),
    textFile("config.json", formatJson(config)),
  ];
  if (generationConfig !== null) files.push(textFile("generation_config.json", formatJson(generationConfig)));
  if (tokenizerFiles !== null) {
    // As they are: the order of keys in a tokenizer has a meaning for some readers (merges, added tokens).
    files.push(
      textFile("tokenizer.json", JSON.stringify(tokenizerFiles.tokenizer)),
      textFile("tokenizer_config.json", formatJson(tokenizerFiles.config)),
    );
    if (tokenizerFiles.chatTemplate !== null)
      files.push(textFile("chat_template.jinja", tokenizerFiles.chatTemplate));
  }
  return files;
}

/**
 * Writes an ordinary Hugging Face model folder, whole or not at all.
 * @throws FailedError failed/write
 */
export async function writeModel(path: string, parts: ModelParts): Promise<void> {
  await writeFolderAtomic(path, modelFolderFiles(parts));
}
