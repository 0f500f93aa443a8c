/**
 * @file Tokens that tokenizer_config.json adds and tokenizer.json lacks, which transformers adds when it opens the two: those
 * of `added_tokens_decoder`, named ones such as `pad_token`, and `additional_special_tokens`, which transformers 5 calls
 * `extra_special_tokens`. A word of the vocabulary keeps its id, others get the next ones.
 */
import type { TokenizerFiles } from "../../../format/checkpoint/checkpoint.ts";
import { isRecord } from "../../rows/row-error.ts";

type Fields = Readonly<Record<string, unknown>>;

/** Default properties of a token. */
const PLAIN = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: false };
/** Named tokens in the order in which they are added. The first three only get ids, and are not found in texts. */
const RESERVED = ["bos_token", "eos_token", "unk_token"];
const NAMED = ["sep_token", "pad_token", "cls_token", "mask_token"];

/** Adds these tokens to those of a tokenizer; returns the same object if there are none. */
export function withConfiguredTokens(files: TokenizerFiles): TokenizerFiles {
  const { tokenizer, config } = files;
  const { added_tokens: listed, model } = tokenizer;
  const own = Array.isArray(listed) ? listed.filter(isRecord) : [];
  const held = new Set(own.map(({ content }) => content));
  const more = tokensOf(config).filter(({ token: { content } }) => {
    const isNew = typeof content === "string" && content !== "" && !held.has(content);
    held.add(content);
    return isNew;
  });
  // Reserved ids only matter to tokens after them, and walking through a vocabulary is slow.
  if (more.every(({ isReserved }) => isReserved) || !isRecord(model)) return files;
  const ids = vocabularyOf(model["vocab"]);
  let next = 0;
  for (const id of [...ids.values(), ...own.map((token) => Number(token["id"]))])
    next = Math.max(next, id + 1);
  const added = more.flatMap(({ token, isReserved }) => {
    const known = ids.get(String(token["content"]));
    if (isReserved && known !== undefined) return [];
    const id = known ?? next++;
    return isReserved ? [] : [{ ...PLAIN, ...token, id }];
  });
  return { ...files, tokenizer: { ...tokenizer, added_tokens: [...own, ...added] } };
}

/** All tokens of a configuration in the order in which they are added. */
function tokensOf(config: Fields): { readonly token: Fields; readonly isReserved: boolean }[] {
  const listing = isRecord(config["added_tokens_decoder"]) ? config["added_tokens_decoder"] : {};
  const byId = Object.entries(listing).toSorted(([a], [b]) => Number(a) - Number(b));
  const extra = config["additional_special_tokens"] ?? config["extra_special_tokens"];
  const extras = isRecord(extra) ? Object.values(extra) : Array.isArray(extra) ? (extra as unknown[]) : [];
  const named = (keys: readonly string[]): unknown[] => keys.map((key) => config[key]);
  const listed = byId.flatMap(([, token]) => (isRecord(token) ? [token] : []));
  const reserved = specialTokens(named(RESERVED));
  const others = specialTokens([...named(NAMED), ...extras]);
  return [
    ...listed.map((token) => ({ token, isReserved: false })),
    ...reserved.map((token) => ({ token, isReserved: true })),
    ...others.map((token) => ({ token, isReserved: false })),
  ];
}

/** Completes tokens, which may be given by their content alone. */
function specialTokens(tokens: readonly unknown[]): Fields[] {
  const read = tokens.map((token) => (typeof token === "string" ? { content: token } : token));
  return read.filter(isRecord).map((token) => ({ ...token, special: true }));
}

/** Word → id, from vocabularies that map words to ids, or list words with scores. */
function vocabularyOf(vocab: unknown): ReadonlyMap<string, number> {
  if (Array.isArray(vocab)) return new Map(vocab.map((entry, id) => [String((entry as unknown[])[0]), id]));
  return new Map(Object.entries((vocab ?? {}) as Readonly<Record<string, number>>));
}
