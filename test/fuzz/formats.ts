/** @file The list of formats that are fuzzed. */
import type { FuzzFormat } from "./format.ts";
import { adapterConfig } from "./formats/adapter-config.ts";
import { adapterGguf } from "./formats/adapter-gguf.ts";
import { chatTemplate } from "./formats/chat-template.ts";
import { codesFolder } from "./formats/codes-folder.ts";
import { dataRows } from "./formats/data-rows.ts";
import { expression } from "./formats/expression.ts";
import { gguf } from "./formats/gguf.ts";
import { images } from "./formats/images.ts";
import { parquet } from "./formats/parquet.ts";
import { modelConfig } from "./formats/model-config.ts";
import { runState } from "./formats/run-state.ts";
import { safetensors } from "./formats/safetensors.ts";
import { settingsFile } from "./formats/settings-file.ts";
import { shardIndex } from "./formats/shard-index.ts";
import { targetPattern } from "./formats/target-pattern.ts";
import { tokenizerFile } from "./formats/tokenizer-file.ts";
import { wheel } from "./formats/wheel.ts";

export const FUZZ_FORMATS: readonly FuzzFormat[] = [
  safetensors,
  gguf,
  codesFolder,
  adapterConfig,
  adapterGguf,
  modelConfig,
  tokenizerFile,
  chatTemplate,
  dataRows,
  settingsFile,
  runState,
  shardIndex,
  expression,
  wheel,
  images,
  parquet,
  targetPattern,
];
