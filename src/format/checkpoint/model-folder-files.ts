/** @file Plans the files of a Hugging Face model folder. */
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
  /** As in `Checkpoint`. */
  readonly floatSettings?: ReadonlySet<string> | undefined;
  readonly generationConfig: Record<string, unknown> | null;
  /** As in `Model`; absent: there is no such file. */
  readonly imageProcessor?: Record<string, unknown> | null;
  readonly tokenizerFiles: TokenizerFiles | null;
  /** The model card; absent: none is written. */
  readonly card?: ModelCard;
  readonly tensors: Iterable<readonly [string, TensorSource]>;
}

/** Plans the files of a Hugging Face model folder; tensors may be made one by one. */
export function modelFolderFiles({ tensors, ...described }: ModelFolderParts): FolderFile[] {
  return [safetensorsFile("model.safetensors", tensors), ...describingFiles(described)];
}

/** Plans the files of a model folder other than its weights. */
export function describingFiles(parts: Omit<ModelFolderParts, "tensors">): FolderFile[] {
  const { config, floatSettings, generationConfig, imageProcessor = null, tokenizerFiles, card } = parts;
  const files: FolderFile[] = [textFile("config.json", formatConfig(config, floatSettings))];
  if (generationConfig !== null)
    files.push(textFile("generation_config.json", formatConfig(generationConfig)));
  if (imageProcessor !== null) files.push(textFile(IMAGE_PROCESSOR_FILE, formatJson(imageProcessor)));
  if (tokenizerFiles !== null) {
    // Keys are not sorted: for some readers the order in a tokenizer has a meaning (merges, added tokens).
    files.push(
      textFile(TOKENIZER_FILE, JSON.stringify(tokenizerFiles.tokenizer)),
      textFile("tokenizer_config.json", formatJson(tokenizerFiles.config)),
    );
    // transformers ignores a list of templates if there is a file with one.
    const isListed = listedTemplate(tokenizerFiles.config, "default") === tokenizerFiles.chatTemplate;
    if (tokenizerFiles.chatTemplate !== null && !isListed)
      files.push(textFile("chat_template.jinja", tokenizerFiles.chatTemplate));
  }
  if (card !== undefined) files.push(cardFile(card));
  return files;
}
