/**
 * @file Tokens that tokenizer_config.json adds (`added_tokens_decoder`) and tokenizer.json lacks, which transformers adds as it
 * opens the two: a word of the vocabulary keeps its id, others get the next ones.
 */
import type { TokenizerFiles } from "../../../format/checkpoint/checkpoint.ts";
import { isRecord } from "../../rows/row-error.ts";

/** What a token is where it does not say. */
const PLAIN = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: false };

/** The tokenizer with these tokens among its own; the same object where there are none. */
export function withConfiguredTokens(files: TokenizerFiles): TokenizerFiles {
  const { tokenizer, config } = files;
  const { added_tokens: listed, model } = tokenizer;
  const listing = isRecord(config["added_tokens_decoder"]) ? config["added_tokens_decoder"] : {};
  const own = Array.isArray(listed) ? listed.filter(isRecord) : [];
  const held = new Set(own.map(({ content }) => content));
  const more = Object.entries(listing)
    .flatMap(([id, token]) =>
      isRecord(token) && !held.has(token["content"]) ? [{ id: Number(id), token }] : [],
    )
    .toSorted((a, b) => a.id - b.id);
  if (more.length === 0 || !isRecord(model)) return files;
  const ids = vocabularyOf(model["vocab"]);
  let next = 0;
  for (const id of [...ids.values(), ...own.map((token) => Number(token["id"]))])
    next = Math.max(next, id + 1);
  const added = more.map(({ token }) => ({
    ...PLAIN,
    ...token,
    id: ids.get(String(token["content"])) ?? next++,
  }));
  return { ...files, tokenizer: { ...tokenizer, added_tokens: [...own, ...added] } };
}

/** Word → id: vocabularies name each, or list them with their scores. */
function vocabularyOf(vocab: unknown): ReadonlyMap<string, number> {
  if (Array.isArray(vocab)) return new Map(vocab.map((entry, id) => [String((entry as unknown[])[0]), id]));
  return new Map(Object.entries((vocab ?? {}) as Readonly<Record<string, number>>));
}
