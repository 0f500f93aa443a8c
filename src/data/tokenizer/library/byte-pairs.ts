/**
 * @file Gives the library's model of byte pairs its vocabulary and merges as files have them: half of the time of making a
 * tokenizer, and of finding merges.
 *
 * The library makes JSON of each merge, and of each pair that might be one, and a table of the entries of an object that
 * a GGUF file, which lists its tokens, has to be turned into first.
 */
import type { TokenizerFiles } from "../../../format/checkpoint/checkpoint.ts";
import { mergePairs } from "./merge-pairs.ts";

/** Characters of a word from which on its pairs are merged in less memory; the library remembers shorter ones. */
const LONG_WORD = 256;

/** The library's model of byte pairs, as much as is used. */
export interface BytePairs {
  config: object;
  readonly tokens_to_ids: Map<string, number>;
  /** Tokens by id; what a file lacks is a hole. */
  readonly vocab: (string | undefined)[];
  unk_token_id?: number | undefined;
  readonly end_of_word_suffix?: string;
  readonly continuing_subword_suffix?: string;
  add_node?: (queue: { push(node: PairNode): void }, node: PairNode) => void;
  /** The tokens of a word. */
  bpe?: (word: string) => string[];
}

/** A token of a word that is being merged, and the one after it. */
interface PairNode {
  readonly token: string;
  /** Tells equal pairs of a word apart. */
  readonly bias: number;
  readonly next: { readonly token: string };
  score: number;
}

/** The model in a tokenizer's file, as much as is used. */
interface FileModel {
  readonly type?: unknown;
  readonly vocab?: unknown;
  readonly merges?: unknown;
  readonly unk_token?: string;
}

/** The settings of a model in a tokenizer's file. */
export function withoutLists(model: object): object {
  // Not by spreading: reading the vocabulary of a file that lists its tokens would make it.
  const { vocab: _, merges: __, ...settings } = Object.getOwnPropertyDescriptors<FileModel>(model);
  return Object.defineProperties({}, settings);
}

/** A tokenizer's file without its long lists, and how they are put into the model that the library makes of the rest. */
interface Lists {
  readonly tokenizer: TokenizerFiles["tokenizer"];
  readonly fill: (model: BytePairs) => void;
}

/** Takes what the library is slow with out of a tokenizer's file. */
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

/** "LEFT RIGHT", or the two. */
type Merge = string | readonly [string, string];

/** Whether a merge can be found by its text: tokens with a space could be cut in other places. */
function isPlainMerge(merge: unknown): merge is Merge {
  if (typeof merge === "string") return true;
  return Array.isArray(merge) && merge.length === 2 && merge.every((one) => !String(one).includes(" "));
}

/** Puts tokens by id below those that are added to them. */
function fillTokens(made: BytePairs, tokens: readonly string[], unknown: string | undefined): void {
  const { tokens_to_ids: ids, vocab } = made;
  const added = [...ids];
  ids.clear();
  for (const [id, token] of tokens.entries()) ids.set(token, id);
  const isUnique = ids.size === tokens.length;
  if (vocab.length < ids.size) vocab.length = ids.size;
  // Of equal ones the last counts.
  for (const [id, token] of tokens.entries()) if (isUnique || ids.get(token) === id) vocab[id] = token;
  if (unknown !== undefined) made.unk_token_id = ids.get(unknown);
  for (const [token, id] of added) {
    ids.set(token, id);
    vocab[id] = token;
  }
}

/** Finds merges by what they are. The library passes over what follows a second space. */
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
  // The vocabulary's own strings: a text has more tokens than that.
  const own = (token: string): string => vocab[ids.get(token) ?? -1] ?? token;
  made.bpe = (word) =>
    word.length < LONG_WORD
      ? ofShort(word)
      : Array.from(
          mergePairs(word, (pair) => ranks.get(pair)),
          own,
        );
}
