/** @file The files of a model folder as Hugging Face has them, to write. */
import { type ModelCard, cardFile } from "../cards/model-card.ts";
import { IMAGE_PROCESSOR_FILE } from "../../models/config/image-processor.ts";
import { type FolderFile, textFile } from "../files/folder-file.ts";
import { formatJson } from "../files/json-file.ts";
import { type TensorSource, safetensorsFile } from "../files/safetensors/safetensors-writer.ts";
import type { TokenizerFiles } from "./checkpoint.ts";
import { formatConfig } from "./config-file.ts";
import { TOKENIZER_FILE } from "./tokenizer-folder.ts";
import { listedTemplate } from "./tool-use-template.ts";

/** Names of the files that `modelFolderFiles` plans. */
export const MODEL_FILES = [
  "model.safetensors",
  "config.json",
  "generation_config.json",
  IMAGE_PROCESSOR_FILE,
  TOKENIZER_FILE,
  "tokenizer_config.json",
  "chat_template.jinja",
] as const;

export interface ModelFolderParts {
  readonly config: Record<string, unknown>;
  /** As `Checkpoint` has them. */
  readonly floatSettings?: ReadonlySet<string> | undefined;
  readonly generationConfig: Record<string, unknown> | null;
  /** As `Model` has it; absent: no file says how images are prepared. */
  readonly imageProcessor?: Record<string, unknown> | null;
  readonly tokenizerFiles: TokenizerFiles | null;
  /** The model card. Without it no card is written. */
  readonly card?: ModelCard;
  readonly tensors: Iterable<readonly [string, TensorSource]>;
}

/** Plans the files of an ordinary Hugging Face model folder; tensors may be made one by one. */
export function modelFolderFiles({ tensors, ...described }: ModelFolderParts): FolderFile[] {
  return [safetensorsFile("model.safetensors", tensors), ...describingFiles(described)];
}

/** Plans the files of a model folder beside its weights. */
export function describingFiles(parts: Omit<ModelFolderParts, "tensors">): FolderFile[] {
  const { config, floatSettings, generationConfig, imageProcessor = null, tokenizerFiles, card } = parts;
  const files: FolderFile[] = [textFile("config.json", formatConfig(config, floatSettings))];
  if (generationConfig !== null)
    files.push(textFile("generation_config.json", formatConfig(generationConfig)));
  if (imageProcessor !== null) files.push(textFile(IMAGE_PROCESSOR_FILE, formatJson(imageProcessor)));
  if (tokenizerFiles !== null) {
    // As they are: the order of keys in a tokenizer has a meaning for some readers (merges, added tokens).
    files.push(
      textFile(TOKENIZER_FILE, JSON.stringify(tokenizerFiles.tokenizer)),
      textFile("tokenizer_config.json", formatJson(tokenizerFiles.config)),
    );
    // transformers passes over a list of several beside a file of one.
    const isListed = listedTemplate(tokenizerFiles.config, "default") === tokenizerFiles.chatTemplate;
    if (tokenizerFiles.chatTemplate !== null && !isListed)
      files.push(textFile("chat_template.jinja", tokenizerFiles.chatTemplate));
  }
  if (card !== undefined) files.push(cardFile(card));
  return files;
}
