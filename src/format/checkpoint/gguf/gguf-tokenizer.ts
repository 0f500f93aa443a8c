/**
 * @file The tokenizer.json and tokenizer_config.json that a GGUF file's metadata stands for.
 *
 * `tokenizer.ggml.model` names the kind: "gpt2" is byte-level BPE, whose `tokenizer.ggml.pre` names how text is cut before
 * merging; "llama" is BPE as SentencePiece has it.
 */
import { FormatError, UsageError } from "../../../errors.ts";
import type { GgufRules } from "../../../models/config/gguf-rules.ts";
import type { TokenizerFiles } from "../checkpoint.ts";
import type { GgufMetadata } from "../../files/gguf/gguf.ts";
import { TOOL_USE_KEY, withToolUse } from "../tool-use-template.ts";
import { metadataNumber } from "./gguf-metadata.ts";
import { PRE_TOKENIZERS, findPreTokenizer } from "./gguf-pre-tokenizers.ts";
import { mergesOfPieces, pieceDecoder, pieceOfText, spaceNormalizer } from "./gguf-sentencepiece.ts";
import type { JsonObject } from "../../files/json-file.ts";
import { lookup } from "../../files/lookup.ts";

/** Values of `tokenizer.ggml.token_type`. */
export const TOKEN_TYPES = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 };

/** Keys of tokenizer_config.json for special tokens, by what GGUF files call them. */
export const SPECIAL_TOKENS = {
  bos: "bos_token",
  eos: "eos_token",
  unknown: "unk_token",
  padding: "pad_token",
} as const;

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

/** Tokens with their types. */
interface Vocabulary {
  readonly tokens: readonly string[];
  readonly types: readonly number[];
}

/** What differs from kind to kind. */
interface TokenizerParts {
  /** Written forms by id, as merges have them. */
  readonly tokens: readonly string[];
  readonly normalizer: JsonObject | null;
  readonly preTokenizer: JsonObject | null;
  readonly decoder: JsonObject;
  readonly model: JsonObject;
  /** Types of the tokens that are found in text as they are, and are no text themselves. */
  readonly specialTypes: readonly number[];
  /** Whether a special token may take the spaces that follow it. */
  readonly takeSpaces: boolean;
  readonly addsPrefix: boolean;
  /** Whether bos is put first, and which ids are special, where the file does not say. */
  readonly addsBos: boolean;
  readonly specialIds: Readonly<Record<string, number>>;
}

const PLAIN_BPE = { type: "BPE", dropout: null, continuing_subword_prefix: null, end_of_word_suffix: null };

function cannotRead(file: GgufMetadata, found: string, expected: string): UsageError {
  return new UsageError(
    "usage/model",
    `Cannot read the tokenizer of "${file.path}": ${found}, expected ${expected}`,
    { hint: "Use the model's safetensors folder, which has a tokenizer.json." },
  );
}

function bytePairParts(file: GgufMetadata, { tokens }: Vocabulary): TokenizerParts {
  const word = file.metadata["tokenizer.ggml.pre"];
  const pre = typeof word === "string" ? findPreTokenizer(word) : undefined;
  if (pre === undefined) {
    const known = Object.keys(PRE_TOKENIZERS).join(", ");
    throw cannotRead(file, `pre-tokenizer ${JSON.stringify(word ?? null)}`, `one of ${known}`);
  }
  const { steps } = pre;
  return {
    tokens,
    normalizer: pre.normalizer,
    preTokenizer: steps.length === 1 ? steps[0]! : { type: "Sequence", pretokenizers: steps },
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      ...PLAIN_BPE,
      unk_token: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: pre.ignoreMerges,
      merges: metadataList<string>(file, "merges", "string"),
    },
    specialTypes: [TOKEN_TYPES.control],
    takeSpaces: false,
    addsPrefix: false,
    addsBos: pre.addsBos,
    specialIds: {},
  };
}

function sentencePieceParts(file: GgufMetadata, { tokens, types }: Vocabulary): TokenizerParts {
  const scores = metadataList<number>(file, "scores", "number");
  const pieces = tokens.map((token, id) =>
    types[id] === TOKEN_TYPES.userDefined ? pieceOfText(token) : token,
  );
  const isMade = (id: number): boolean =>
    types[id] !== TOKEN_TYPES.control && types[id] !== TOKEN_TYPES.unknown && types[id] !== TOKEN_TYPES.byte;
  const addsPrefix = file.metadata["tokenizer.ggml.add_space_prefix"] !== false;
  const specialIds = { bos: 1, eos: 2, unknown: 0 };
  const unknownId = metadataNumber(file, "tokenizer.ggml.unknown_token_id") ?? specialIds.unknown;
  return {
    tokens: pieces,
    normalizer: spaceNormalizer(addsPrefix),
    preTokenizer: null,
    decoder: pieceDecoder(addsPrefix),
    model: {
      ...PLAIN_BPE,
      unk_token: pieces[unknownId] ?? null,
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false,
      merges: mergesOfPieces(pieces, (id) => (isMade(id) ? (scores[id] ?? 0) : null)),
    },
    specialTypes: [TOKEN_TYPES.control, TOKEN_TYPES.unknown],
    takeSpaces: true,
    addsPrefix,
    addsBos: true,
    specialIds,
  };
}

/** Kinds of tokenizers, by `tokenizer.ggml.model`. */
const KINDS: Readonly<Record<string, (file: GgufMetadata, vocabulary: Vocabulary) => TokenizerParts>> = {
  gpt2: bytePairParts,
  llama: sentencePieceParts,
};

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

/** Gives a model of byte pairs its vocabulary when that is asked for: most often the list of tokens will do. */
function withVocabulary(model: JsonObject, tokens: readonly string[]): JsonObject {
  let vocab: Record<string, number> | undefined;
  return {
    ...model,
    get vocab() {
      return (vocab ??= Object.fromEntries(tokens.map((token, id) => [token, id])));
    },
  };
}

/** The tokens that are found in text before it is cut. */
function addedTokens(
  { tokens, specialTypes, takeSpaces }: TokenizerParts,
  types: readonly number[],
  takesSpacesAfter: NonNullable<GgufRules["takesSpacesAfter"]>,
): JsonObject[] {
  return tokens.flatMap((content, id) => {
    const special = specialTypes.includes(types[id]!);
    if (!special && types[id] !== TOKEN_TYPES.userDefined) return [];
    const rstrip = takeSpaces && takesSpacesAfter(content);
    return [{ id, content, single_word: false, lstrip: false, rstrip, normalized: false, special }];
  });
}

function specialId(file: GgufMetadata, { specialIds }: TokenizerParts, name: string): number | null {
  return metadataNumber(file, `tokenizer.ggml.${name}_token_id`) ?? specialIds[name] ?? null;
}

/** tokenizer_config.json. */
function configOf(file: GgufMetadata, parts: TokenizerParts, addsBos: boolean): JsonObject {
  const config: JsonObject = {
    add_bos_token: addsBos,
    add_eos_token: file.metadata["tokenizer.ggml.add_eos_token"] === true,
    add_prefix_space: parts.addsPrefix,
    clean_up_tokenization_spaces: false,
    model_max_length: metadataNumber(file, `${String(file.metadata["general.architecture"])}.context_length`),
    tokenizer_class: "PreTrainedTokenizerFast",
  };
  for (const [name, key] of Object.entries(SPECIAL_TOKENS)) {
    const id = specialId(file, parts, name);
    if (id !== null && parts.tokens[id] !== undefined) config[key] = parts.tokens[id];
  }
  return config;
}

/**
 * Makes the tokenizer files of a GGUF file; null when it holds no tokenizer. `takesSpacesAfter`: as its family says.
 * @throws FormatError format/file when lists are missing; UsageError usage/model for kinds that graft does not know
 */
export function makeTokenizerFiles(
  file: GgufMetadata,
  takesSpacesAfter: GgufRules["takesSpacesAfter"] = () => false,
): TokenizerFiles | null {
  const kind = file.metadata["tokenizer.ggml.model"];
  if (kind === undefined) return null;
  const partsOf = typeof kind === "string" ? lookup(KINDS, kind) : undefined;
  if (partsOf === undefined) {
    const known = Object.keys(KINDS).map((name) => JSON.stringify(name));
    throw cannotRead(file, `tokenizer type ${JSON.stringify(kind)}`, `one of ${known.join(", ")}`);
  }
  const hasTypes = file.metadata["tokenizer.ggml.token_type"] !== undefined;
  const types = hasTypes ? metadataList<number>(file, "token_type", "number") : [];
  const parts = partsOf(file, { tokens: metadataList<string>(file, "tokens", "string"), types });
  const { tokens } = parts;
  const bosId = specialId(file, parts, "bos");
  const bos = bosId === null ? undefined : tokens[bosId];
  const addsBos =
    (file.metadata["tokenizer.ggml.add_bos_token"] ?? parts.addsBos) === true && bos !== undefined;
  const template = file.metadata["tokenizer.chat_template"];
  const chatTemplate = typeof template === "string" ? template : null;
  const toolUse = file.metadata[TOOL_USE_KEY];
  const config = configOf(file, parts, addsBos);
  return {
    tokenizer: {
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: addedTokens(parts, types, takesSpacesAfter),
      normalizer: parts.normalizer,
      pre_tokenizer: parts.preTokenizer,
      post_processor: addsBos && bosId !== null ? bosTemplate(bos, bosId) : null,
      decoder: parts.decoder,
      model: withVocabulary(parts.model, tokens),
    },
    tokens,
    config: typeof toolUse === "string" ? withToolUse(config, chatTemplate, toolUse) : config,
    chatTemplate,
  };
}
