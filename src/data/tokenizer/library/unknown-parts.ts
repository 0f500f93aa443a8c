/**
 * @file Handles text that a vocabulary lacks: a word, or adjacent characters in one, become one unknown token. Without an
 * unknown token, the characters are removed before those beside them are merged. Added tokens are not parts of words.
 */
import type { TokenizerFiles } from "../../../format/checkpoint/checkpoint.ts";

/** The library's model, as far as it is used. */
export interface UnknowingModel {
  unk_token_id?: number | undefined;
  readonly tokens_to_ids: ReadonlyMap<string, number>;
  /** Splits words into tokens. */
  encode(words: readonly string[]): string[];
  /** Whether adjacent unknown characters become one token. */
  readonly fuse_unk?: boolean;
  /** Splits a word into tokens by merging its characters. */
  bpe?: (word: string) => string[];
  /** Splits words into tokens. */
  _call(words: readonly string[]): string[];
}

/** Makes a tokenizer handle unknown text according to its file. */
export function useUnknownParts(
  { model }: { readonly model: UnknowingModel },
  { tokenizer }: TokenizerFiles,
): void {
  // A vocabulary of whole words names its unknown token in its own settings; the library looks only in tokenizer_config.json.
  const settings = tokenizer["model"] as Readonly<Record<string, unknown>>;
  const { type, unk_token: unknown } = settings;
  if (type === "WordLevel") model.unk_token_id = model.tokens_to_ids.get(String(unknown));
  const { byte_fallback: hasBytes, continuing_subword_prefix: prefix, end_of_word_suffix: suffix } = settings;
  if (model.bpe && !unknown && !hasBytes && !prefix && !suffix) leaveOutUnknown(model, model.bpe.bind(model));
  if (type === "WordPiece") leaveOutAdded(model, settings["vocab"]);
  if (model.fuse_unk !== true) return;
  // The library also fuses the unknown tokens of adjacent words.
  const tokensOf = model._call.bind(model);
  model._call = (words) => words.flatMap((word) => tokensOf([word]));
}

/** Excludes added tokens from the parts of words: the library adds them to the tokens among which it looks for parts. */
function leaveOutAdded(model: UnknowingModel, vocabulary: unknown): void {
  const isOwn = (token: string): boolean => Object.hasOwn(Object(vocabulary) as object, token);
  const own = [...model.tokens_to_ids].filter(([token]) => isOwn(token));
  if (own.length === model.tokens_to_ids.size) return;
  const splitting = Object.create(model, { tokens_to_ids: { value: new Map(own) } }) as UnknowingModel;
  model.encode = model.encode.bind(splitting);
}

function leaveOutUnknown(model: UnknowingModel, tokensOf: (word: string) => string[]): void {
  const isKnown = (token: string): boolean => model.tokens_to_ids.has(token);
  model.bpe = (word) => {
    const tokens = tokensOf(word);
    return tokens.every(isKnown) ? tokens : tokensOf(Array.from(word).filter(isKnown).join(""));
  };
}
