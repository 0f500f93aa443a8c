/**
 * @file Trains a byte-level BPE tokenizer on a text and gives it the files of a Hugging Face tokenizer.
 *
 * The 256 bytes come first, then one token per merge, then the special tokens, with the ChatML template. Each round
 * merges the most frequent pair of neighbours inside the words of the GPT-2 split; of equally frequent ones, that with
 * the smallest ids. So equal text gives equal files.
 */
import { byteTokenizerFiles } from "../../test/tiny/byte-tokenizer.ts";
import { UsageError } from "../../src/errors.ts";
import type { TokenizerFiles } from "../../src/format/checkpoint/checkpoint.ts";

/** The split of GPT-2, which a tokenizer.json calls ByteLevel with use_regex. */
const WORD = /'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

/** The parts of the byte tokenizer's files that are replaced. */
interface ByteTokenizerJson {
  readonly added_tokens: readonly { readonly content: string }[];
  readonly model: { readonly vocab: Readonly<Record<string, number>> };
}

/** A word as the ids of its parts, and how often the text has it. */
interface Word {
  ids: readonly number[];
  readonly count: number;
}

function countWords(text: string, specials: readonly string[]): Word[] {
  const counts = new Map<string, number>();
  const boundaries = new RegExp(specials.map((token) => RegExp.escape(token)).join("|"));
  for (const part of text.split(boundaries)) {
    for (const word of part.match(WORD) ?? []) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return [...counts].map(([word, count]) => ({ ids: [...new TextEncoder().encode(word)], count }));
}

/** Finds the pair of ids to merge next; null when no word has two parts. */
function likeliestPair(words: readonly Word[]): readonly [number, number] | null {
  const counts = new Map<number, number>();
  for (const { ids, count } of words) {
    for (let i = 1; i < ids.length; i++) {
      const key = ids[i - 1]! * 2 ** 20 + ids[i]!; // orders keys as pairs of ids
      counts.set(key, (counts.get(key) ?? 0) + count);
    }
  }
  let [best, bestCount] = [-1, 0];
  for (const [key, count] of counts) {
    if (count > bestCount || (count === bestCount && key < best)) [best, bestCount] = [key, count];
  }
  return best < 0 ? null : [Math.floor(best / 2 ** 20), best % 2 ** 20];
}

/** Joins every `left` that `right` follows, from the front. */
function mergePair(ids: readonly number[], left: number, right: number, merged: number): number[] {
  const joined: number[] = [];
  for (let i = 0; i < ids.length; i++) {
    const isPair = ids[i] === left && ids[i + 1] === right;
    joined.push(isPair ? merged : ids[i]!);
    if (isPair) i++;
  }
  return joined;
}

/**
 * Trains on `text` until the vocabulary, special tokens included, has `vocabSize` entries or no pair is left.
 * @throws UsageError usage/flag when there is no room for the bytes and the special tokens.
 */
export function trainBpe(text: string, vocabSize: number): TokenizerFiles {
  const files = byteTokenizerFiles();
  const json = files.tokenizer as unknown as ByteTokenizerJson;
  const symbols: string[] = [];
  for (const [symbol, id] of Object.entries(json.model.vocab)) symbols[id] = symbol;
  const numSpecials = json.added_tokens.length;
  if (vocabSize < symbols.length + numSpecials) {
    throw new UsageError(
      "usage/flag",
      `Cannot train a tokenizer of ${vocabSize} tokens: expected at least ${symbols.length + numSpecials}`,
    );
  }
  let words = countWords(
    text,
    json.added_tokens.map(({ content }) => content),
  );
  const merges: string[] = [];
  while (symbols.length + numSpecials < vocabSize) {
    const pair = likeliestPair(words);
    if (!pair) break;
    const [left, right] = pair;
    const merged = symbols.length;
    merges.push(`${symbols[left]} ${symbols[right]}`);
    symbols.push(`${symbols[left]}${symbols[right]}`);
    words = words.map(({ ids, count }) => ({ ids: mergePair(ids, left, right, merged), count }));
  }
  const vocab = Object.fromEntries(symbols.map((symbol, id) => [symbol, id]));
  const addedTokens = json.added_tokens.map((token, i) => ({ ...token, id: symbols.length + i }));
  return {
    ...files,
    tokenizer: { ...json, added_tokens: addedTokens, model: { ...json.model, vocab, merges } },
  };
}
