/**
 * @file The tokenizer.json and tokenizer_config.json that a GGUF file's metadata stands for.
 *
 * Byte-level BPE alone (`tokenizer.ggml.model` "gpt2"). `tokenizer.ggml.pre` names how text is cut before merging;
 * the cuts are those of the tokenizer.json files from which such GGUF files are made.
 */
import { FormatError, UsageError } from "../../errors.ts";
import type { TokenizerFiles } from "./checkpoint.ts";
import type { GgufMetadata } from "../files/gguf.ts";
import { metadataNumber } from "./gguf-config.ts";
import type { JsonObject } from "../files/json-file.ts";
import { lookup } from "../files/lookup.ts";

/** Values of `tokenizer.ggml.token_type`. */
export const TOKEN_TYPES = { normal: 1, control: 3, userDefined: 4, unused: 5 };

/** How text is cut before pairs are merged. */
export interface PreTokenizer {
  readonly normalizer: JsonObject | null;
  readonly steps: readonly JsonObject[];
  /** Whether a whole word of the vocabulary is taken before any merge is tried. */
  readonly ignoreMerges: boolean;
  /** Whether bos is put first where the file does not say. */
  readonly addsBos: boolean;
}

const BYTE_LEVEL = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };

/** Cuts by one regular expression, then maps bytes to letters. */
function splitBy(regex: string): JsonObject[] {
  return [
    { type: "Split", pattern: { Regex: regex }, behavior: "Isolated", invert: false },
    { ...BYTE_LEVEL, use_regex: false },
  ];
}

const GPT2: PreTokenizer = { normalizer: null, steps: [BYTE_LEVEL], ignoreMerges: false, addsBos: false };

/** Words with their apostrophes, digits in groups of at most `digits`, punctuation, line ends, spaces. */
function wordsAndDigits(digits: string): string {
  return `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;
}

/** How text is cut, by `tokenizer.ggml.pre`. To add one: one entry. */
export const PRE_TOKENIZERS: Readonly<Record<string, PreTokenizer>> = {
  "gpt-2": GPT2,
  smollm: { ...GPT2, steps: [{ type: "Digits", individual_digits: true }, BYTE_LEVEL] },
  "llama-bpe": { ...GPT2, steps: splitBy(wordsAndDigits("{1,3}")), ignoreMerges: true, addsBos: true },
  qwen2: { ...GPT2, normalizer: { type: "NFC" }, steps: splitBy(wordsAndDigits("")) },
};

function metadataList<T extends string | number>(
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

function findPreTokenizer(file: GgufMetadata): PreTokenizer {
  const model = file.metadata["tokenizer.ggml.model"];
  if (model !== "gpt2") {
    throw new UsageError(
      "usage/model",
      `Cannot read the tokenizer of "${file.path}": kind ${JSON.stringify(model)}, expected "gpt2" (byte-level BPE)`,
      { hint: "Use the model's safetensors folder, which has a tokenizer.json." },
    );
  }
  const pre = file.metadata["tokenizer.ggml.pre"];
  const found = typeof pre === "string" ? lookup(PRE_TOKENIZERS, pre) : undefined;
  if (found !== undefined) return found;
  throw new UsageError(
    "usage/model",
    `Cannot read the tokenizer of "${file.path}": pre-tokenizer ${JSON.stringify(pre ?? null)}, expected one of ${Object.keys(PRE_TOKENIZERS).join(", ")}`,
    { hint: "Use the model's safetensors folder, which has a tokenizer.json." },
  );
}

/** Puts bos before a text. */
function bosTemplate(token: string, id: number): JsonObject {
  const bos = { SpecialToken: { id: token, type_id: 0 } };
  const [first, second] = ["A", "B"].map((sequence, i) => ({ Sequence: { id: sequence, type_id: i } }));
  return {
    type: "TemplateProcessing",
    single: [bos, first],
    pair: [bos, first, { SpecialToken: { id: token, type_id: 1 } }, second],
    special_tokens: { [token]: { id: token, ids: [id], tokens: [token] } },
  };
}

/**
 * Builds the tokenizer files of a GGUF file; null when it holds no tokenizer.
 * @throws FormatError format/file when lists are missing; UsageError usage/model for kinds that graft does not know
 */
export function buildTokenizerFiles(file: GgufMetadata): TokenizerFiles | null {
  if (file.metadata["tokenizer.ggml.model"] === undefined) return null;
  const pre = findPreTokenizer(file);
  const tokens = metadataList<string>(file, "tokens", "string");
  const merges = metadataList<string>(file, "merges", "string");
  const types =
    file.metadata["tokenizer.ggml.token_type"] === undefined
      ? []
      : metadataList<number>(file, "token_type", "number");

  const addedTokens = tokens.flatMap((content, id) =>
    types[id] === TOKEN_TYPES.control || types[id] === TOKEN_TYPES.userDefined
      ? [
          {
            id,
            content,
            single_word: false,
            lstrip: false,
            rstrip: false,
            normalized: false,
            special: types[id] === TOKEN_TYPES.control,
          },
        ]
      : [],
  );
  const idOf = (name: string): number | null => metadataNumber(file, `tokenizer.ggml.${name}_token_id`);
  const bosId = idOf("bos");
  const bos = bosId === null ? undefined : tokens[bosId];
  const addsBos =
    (file.metadata["tokenizer.ggml.add_bos_token"] ?? pre.addsBos) === true && bos !== undefined;
  const addsEos = file.metadata["tokenizer.ggml.add_eos_token"] === true;

  const config: JsonObject = {
    add_bos_token: addsBos,
    add_eos_token: addsEos,
    add_prefix_space: false,
    clean_up_tokenization_spaces: false,
    model_max_length: metadataNumber(file, `${String(file.metadata["general.architecture"])}.context_length`),
    tokenizer_class: "PreTrainedTokenizerFast",
  };
  for (const [key, name] of [
    ["bos_token", "bos"],
    ["eos_token", "eos"],
    ["unk_token", "unknown"],
    ["pad_token", "padding"],
  ] as const) {
    const id = idOf(name);
    if (id !== null && tokens[id] !== undefined) config[key] = tokens[id];
  }
  const template = file.metadata["tokenizer.chat_template"];
  return {
    tokenizer: {
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: addedTokens,
      normalizer: pre.normalizer,
      pre_tokenizer: pre.steps.length === 1 ? pre.steps[0] : { type: "Sequence", pretokenizers: pre.steps },
      post_processor: addsBos && bosId !== null ? bosTemplate(bos, bosId) : null,
      decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
      model: {
        type: "BPE",
        dropout: null,
        unk_token: null,
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: pre.ignoreMerges,
        vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
        merges,
      },
    },
    config,
    chatTemplate: typeof template === "string" ? template : null,
  };
}
