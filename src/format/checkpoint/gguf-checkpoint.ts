/** @file A GGUF file as a base model: Hugging Face names, rows in their original order, config and tokenizer built. */
import { FormatError, UsageError } from "../../errors.ts";
import { permuteRows, type StoredTensor } from "../../quant/stored-tensor.ts";
import type { Checkpoint, TensorInfo } from "./checkpoint.ts";
import type { ByteSource } from "../files/byte-source.ts";
import { type GgufFile, type GgufTensor, openGguf } from "../files/gguf.ts";
import { buildConfig, buildGenerationConfig } from "./gguf-config.ts";
import { GGUF_ARCHITECTURES, type GgufName, originalRowOrder, translateName } from "./gguf-names.ts";
import { buildTokenizerFiles } from "./gguf-tokenizer.ts";
import { lookup } from "../files/lookup.ts";

/** Tensors that repeat what the config says; gguf-config.ts reads them. */
const DERIVED = new Set(["rope_freqs.weight"]);

async function toCheckpoint(file: GgufFile): Promise<Checkpoint> {
  const name = String(file.metadata["general.architecture"]);
  const architecture = lookup(GGUF_ARCHITECTURES, name);
  if (architecture === undefined) {
    throw new UsageError(
      "usage/model",
      `Cannot open model "${file.path}": GGUF architecture ${name}, expected one of ${Object.keys(GGUF_ARCHITECTURES).join(", ")}`,
      { hint: "Use the model's safetensors folder, or a model of one of these families." },
    );
  }
  const sources = new Map<string, { tensor: GgufTensor; reordered: GgufName["reordered"] }>();
  const tensors = new Map<string, TensorInfo>();
  for (const tensor of file.tensors.values()) {
    if (DERIVED.has(tensor.name)) continue;
    const found = translateName(architecture, tensor.name);
    if (found === null) {
      throw new FormatError(
        "format/tensor",
        `Cannot open model "${file.path}": tensor "${tensor.name}" [${tensor.shape.join(", ")}], expected tensors of ${name} alone`,
        { hint: "The file holds a variant of the model that graft does not know: use another." },
      );
    }
    const { hfName, reordered } = found;
    sources.set(hfName, { tensor, reordered });
    tensors.set(hfName, {
      name: hfName,
      shape: tensor.shape,
      storage: tensor.storage,
      sizeBytes: tensor.sizeBytes,
    });
  }
  const config = await buildConfig(file, name, architecture);
  return {
    path: file.path,
    format: "gguf",
    config,
    generationConfig: buildGenerationConfig(file, config),
    tensors,
    tokenizerFiles: buildTokenizerFiles(file),
    async read(hfName): Promise<StoredTensor> {
      const source = sources.get(hfName);
      if (source === undefined) {
        throw new FormatError(
          "format/tensor",
          `Cannot read tensor "${hfName}" of "${file.path}": not in the file, expected one of its tensors`,
          { hint: "The file is incomplete, or holds another model." },
        );
      }
      const stored = await file.read(source.tensor);
      if (source.reordered === null) return stored;
      const numRows = stored.shape[0] ?? 0;
      const numHeads = config[source.reordered] as number;
      if (numRows % (2 * numHeads) !== 0) {
        throw new FormatError(
          "format/tensor",
          `Cannot read tensor "${hfName}" of "${file.path}": ${numRows} rows, expected a multiple of 2 x ${numHeads} heads`,
          { hint: "The file's settings do not fit its tensors: convert the model to GGUF again." },
        );
      }
      return permuteRows(stored, originalRowOrder(numRows, numHeads));
    },
    readInto: null,
    view: () => null,
    close: () => file.close(),
  };
}

/** Opens a GGUF file as a base model; it is closed with that, or at once when it is none. @throws FormatError, UsageError usage/model */
export async function openGgufCheckpoint(source: ByteSource): Promise<Checkpoint> {
  const file = await openGguf(source);
  try {
    return await toCheckpoint(file);
  } catch (error) {
    await file.close();
    throw error;
  }
}
