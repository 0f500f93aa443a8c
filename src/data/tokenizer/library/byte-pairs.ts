/**
 * @file Puts vocabulary and merges directly into the library's byte-pair model, which saves half of the time of making a
 * tokenizer, and of finding merges.
 *
 * The library makes JSON of each merge, and of each pair that might be one, and a table from the entries of an object, into
 * which the token list of a GGUF file would have to be converted first.
 */
import type { TokenizerFiles } from "../../../format/checkpoint/checkpoint.ts";
import { mergePairs } from "./merge-pairs.ts";

/** Length of words from which merging uses the variant that needs less memory; the library caches shorter ones. */
const LONG_WORD = 256;

/** The library's byte-pair model, as far as it is used. */
export interface BytePairs {
  config: object;
  readonly tokens_to_ids: Map<string, number>;
  /** Tokens by id; ids that the file lacks are holes. */
  readonly vocab: (string | undefined)[];
  unk_token_id?: number | undefined;
  readonly end_of_word_suffix?: string;
  readonly continuing_subword_suffix?: string;
  add_node?: (queue: { push(node: PairNode): void }, node: PairNode) => void;
  /** Splits a word into tokens. */
  bpe?: (word: string) => string[];
}

/** A token of a word that is being merged, and the one after it. */
interface PairNode {
  readonly token: string;
  /** Distinguishes equal pairs of a word. */
  readonly bias: number;
  readonly next: { readonly token: string };
  score: number;
}

/** The model in a tokenizer's file, as far as it is used. */
interface FileModel {
  readonly type?: unknown;
  readonly vocab?: unknown;
  readonly merges?: unknown;
  readonly unk_token?: string;
}

/** Copies the settings of a model without its lists. */
export function withoutLists(model: object): object {
  // Not by spreading, which would read `vocab`: for a file that lists its tokens, reading it makes the vocabulary.
  const { vocab: _, merges: __, ...settings } = Object.getOwnPropertyDescriptors<FileModel>(model);
  return Object.defineProperties({}, settings);
}

/**
 * A tokenizer's file without its long lists, and the function that puts the lists into the model that the library makes from
 * the rest.
 */
interface Lists {
  readonly tokenizer: TokenizerFiles["tokenizer"];
  readonly fill: (model: BytePairs) => void;
}

/** Removes the lists that the library reads slowly from a tokenizer's file. */
export function takeLists({ tokenizer, tokens }: TokenizerFiles): Lists {
  const model = (tokenizer["model"] ?? {}) as FileModel;
  const { type, merges } = model;
  const isPlain = type === "BPE" && Array.isArray(merges) && merges.every(isPlainMerge);
  if (!isPlain) return { tokenizer, fill: () => {} };
  const vocab = tokens ? {} : model.vocab;
  return {
    tokenizer: { ...tokenizer, model: { ...withoutLists(model), vocab, merges: [] } },
    fill(made) {
      if (tokens) fillTokens(made, tokens, model.unk_token);
      fillMerges(made, merges);
    },
  };
}

/** "LEFT RIGHT", or a pair. */
type Merge = string | readonly [string, string];

/** Whether a merge can be found by its text: tokens with a space could be split in several ways. */
function isPlainMerge(merge: unknown): merge is Merge {
  if (typeof merge === "string") return true;
  return Array.isArray(merge) && merge.length === 2 && merge.every((one) => !String(one).includes(" "));
}

/** Adds the listed tokens by id; tokens that were added to the model keep precedence. */
function fillTokens(made: BytePairs, tokens: readonly string[], unknown: string | undefined): void {
  const { tokens_to_ids: ids, vocab } = made;
  const added = [...ids];
  ids.clear();
  for (const [id, token] of tokens.entries()) ids.set(token, id);
  const isUnique = ids.size === tokens.length;
  if (vocab.length < ids.size) vocab.length = ids.size;
  // Of equal tokens the last counts.
  for (const [id, token] of tokens.entries()) if (isUnique || ids.get(token) === id) vocab[id] = token;
  if (unknown !== undefined) made.unk_token_id = ids.get(unknown);
  for (const [token, id] of added) {
    ids.set(token, id);
    vocab[id] = token;
  }
}

/** Finds merges by their text. Like the library, ignores what follows a second space. */
function fillMerges(made: BytePairs, merges: readonly Merge[]): void {
  const ranks = new Map<string, number>();
  for (const [rank, one] of merges.entries()) {
    const merge = typeof one === "string" ? one : one.join(" ");
    const second = merge.indexOf(" ", merge.indexOf(" ") + 1);
    ranks.set(second < 0 ? merge : merge.slice(0, second), rank);
  }
  made.add_node = (queue, node) => {
    const rank = ranks.get(`${node.token} ${node.next.token}`);
    if (rank === undefined) return;
    node.score = rank + node.bias;
    queue.push(node);
  };
  const ofShort = made.bpe?.bind(made);
  if (!ofShort || made.end_of_word_suffix || made.continuing_subword_suffix) return;
  const { tokens_to_ids: ids, vocab } = made;
  // Uses the vocabulary's own strings, since a text has more tokens than the vocabulary.
  const own = (token: string): string => vocab[ids.get(token) ?? -1] ?? token;
  made.bpe = (word) =>
    word.length < LONG_WORD
      ? ofShort(word)
      : Array.from(
          mergePairs(word, (pair) => ranks.get(pair)),
          own,
        );
}
