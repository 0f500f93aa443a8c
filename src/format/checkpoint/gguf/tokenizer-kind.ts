/** @file Contract of a kind of tokenizer, as named by `tokenizer.ggml.model`, and what kinds have in common: all are BPE. */
import { FormatError, UsageError } from "../../../errors.ts";
import type { GgufMetadata } from "../../files/gguf/gguf.ts";
import type { GgufValue } from "../../files/gguf/gguf-setting-bytes.ts";
import type { JsonObject } from "../../files/json-file.ts";
import type { Merge } from "./gguf-sentencepiece.ts";
import type { TokenizerJson } from "./tokenizer-steps.ts";

/** Values of `tokenizer.ggml.token_type`. */
export const TOKEN_TYPES = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 };

/** Tokens with their types. */
export interface Vocabulary {
  readonly tokens: readonly string[];
  readonly types: readonly number[];
}

/** What differs between kinds. */
export interface TokenizerParts {
  /** Texts of tokens by id, in the form used in merges. */
  readonly tokens: readonly string[];
  readonly normalizer: JsonObject | null;
  readonly preTokenizer: JsonObject | null;
  readonly decoder: JsonObject;
  readonly model: JsonObject;
  /** Types of the special tokens, which are matched in text literally. */
  readonly specialTypes: readonly number[];
  /** Whether a special token may absorb the spaces that follow it. */
  readonly takeSpaces: boolean;
  readonly addsPrefix: boolean;
  /** Defaults, if the file does not tell: whether bos is put first, and which ids are special. */
  readonly addsBos: boolean;
  readonly specialIds: Readonly<Record<string, number>>;
}

export interface TokenizerKind {
  /** Reads the parts of which tokenizer.json is made. @throws FormatError "format/file", UsageError "usage/model" */
  read(file: GgufMetadata, vocabulary: Vocabulary): TokenizerParts;
  /** Which tokenizers of folders are written as this kind; null: none, or only those that another kind delegates. */
  readonly writes: {
    /** A description for errors. */
    readonly summary: string;
    claims(json: TokenizerJson): boolean;
  } | null;
  /**
   * Makes the settings of a tokenizer other than its tokens, by their names without `tokenizer.ggml.`.
   * @throws UsageError "usage/model" for what such settings cannot express
   */
  write(modelName: string, json: TokenizerJson, tokens: readonly string[]): Record<string, GgufValue>;
}

/** BPE without dropout, and without marks at the ends of words. */
export const PLAIN_BPE = {
  type: "BPE",
  dropout: null,
  continuing_subword_prefix: null,
  end_of_word_suffix: null,
};

/** Whether a tokenizer is BPE, and marks neither the beginnings nor the ends of words. */
export function isPlainBpe({ model }: TokenizerJson): boolean {
  return model.type === PLAIN_BPE.type && !model.continuing_subword_prefix && !model.end_of_word_suffix;
}

/** Reads a setting of a tokenizer that is a list. @throws FormatError "format/file" when it is not such a list */
export function metadataList<T extends string | number>(
  file: GgufMetadata,
  name: string,
  type: "string" | "number",
): T[] {
  const value = file.metadata[`tokenizer.ggml.${name}`];
  if (Array.isArray(value) && value.every((item) => typeof item === type)) return value as T[];
  throw new FormatError(
    "format/file",
    `Cannot read GGUF file "${file.path}": tokenizer.ggml.${name} is not a list of ${type}s, expected the tokenizer`,
    { hint: "Convert the model to GGUF again." },
  );
}

/** The merges of tokenizer.json, where each is a text or a pair. */
export function mergesOf({ model }: TokenizerJson): readonly Merge[] {
  return (model.merges ?? []).map((pair) => (typeof pair === "string" ? pair.split(" ") : pair) as Merge);
}

/** Makes the error for a tokenizer that graft does not know. */
export function cannotRead(file: GgufMetadata, found: string, expected: string): UsageError {
  return new UsageError(
    "usage/model",
    `Cannot read the tokenizer of "${file.path}": ${found}, expected ${expected}`,
    { hint: "Use the model's safetensors folder, which has a tokenizer.json." },
  );
}

/** Makes the error for a tokenizer that GGUF files cannot express. */
export function cannotWrite(modelName: string, found: string, expected: string): UsageError {
  return new UsageError(
    "usage/model",
    `Cannot write the tokenizer of "${modelName}" as GGUF: ${found}, expected ${expected}`,
    { hint: "Write a folder instead, which includes the tokenizer's files unchanged." },
  );
}
