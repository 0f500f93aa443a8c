/**
 * @file What a vocabulary does not have: a word, or characters next to each other within one, are one unknown token. Where there is
 * no such token, characters are left out before those beside them are merged. Tokens that were added are no parts of words.
 */
import type { TokenizerFiles } from "../../../format/checkpoint/checkpoint.ts";

/** The library's model, as much as is used. */
export interface UnknowingModel {
  unk_token_id?: number | undefined;
  readonly tokens_to_ids: ReadonlyMap<string, number>;
  /** Makes tokens of words. */
  encode(words: readonly string[]): string[];
  /** Whether unknown characters are put together. */
  readonly fuse_unk?: boolean;
  /** Makes tokens of a word by merging its characters. */
  bpe?: (word: string) => string[];
  /** Makes tokens of words. */
  _call(words: readonly string[]): string[];
}

/** Has a tokenizer find unknown tokens as its file says. */
export function useUnknownParts(
  { model }: { readonly model: UnknowingModel },
  { tokenizer }: TokenizerFiles,
): void {
  // A vocabulary of whole words names the token for others beside it; the library looks for it in tokenizer_config.json alone.
  const settings = tokenizer["model"] as Readonly<Record<string, unknown>>;
  const { type, unk_token: unknown } = settings;
  if (type === "WordLevel") model.unk_token_id = model.tokens_to_ids.get(String(unknown));
  const { byte_fallback: hasBytes, continuing_subword_prefix: prefix, end_of_word_suffix: suffix } = settings;
  if (model.bpe && !unknown && !hasBytes && !prefix && !suffix) leaveOutUnknown(model, model.bpe.bind(model));
  if (type === "WordPiece") leaveOutAdded(model, settings["vocab"]);
  if (model.fuse_unk !== true) return;
  // The library puts those of words next to each other together too.
  const tokensOf = model._call.bind(model);
  model._call = (words) => words.flatMap((word) => tokensOf([word]));
}

/** The library looks for parts of words among its tokens, to which it has put those that were added. */
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
