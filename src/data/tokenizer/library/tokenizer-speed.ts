/**
 * @file Makes the library's tokenizers faster, with the same ids and texts: what words become is kept, cheaply.
 *
 * The library writes the bytes of every word as characters anew, and moves a word in its list of known ones at every use:
 * together two thirds of the time of reading conversations. And it looks for each token that it decodes among all that were added.
 */
import { RecentMap } from "./recent-map.ts";
import type { SplittingTokenizer, TokenizerStep } from "./tokenizer-step.ts";

/** Words that are kept, and the length up to which they are. */
const [MAX_WORDS, MAX_WORD_LENGTH] = [20_000, 64];

/** The library's model of byte pairs, as much as is used. */
export interface TokenizerModel {
  cache?: unknown;
  readonly tokens_to_ids: ReadonlyMap<string, number>;
  readonly vocab: readonly (string | undefined)[];
}

/** The library's tokenizer, as much as is made faster. */
interface FastTokenizer extends Pick<SplittingTokenizer, "pre_tokenizer" | "decoder"> {
  readonly model: TokenizerModel;
}

/** Memory of the tokens of words, in the vocabulary's own strings: these are found in it without comparing characters. */
class WordTokens extends RecentMap<readonly string[]> {
  readonly #model: TokenizerModel;

  constructor(model: TokenizerModel) {
    super(MAX_WORDS);
    this.#model = model;
  }

  override put(word: string, tokens: readonly string[]): void {
    const { tokens_to_ids: ids, vocab } = this.#model;
    const own = tokens.map((token) => {
      const known = vocab[ids.get(token) ?? -1];
      return known === token ? known : token;
    });
    super.put(word, own);
  }
}

/** Writes words as the characters that stand for their bytes. */
function byteWriter(characters: Readonly<Record<number, string>>): (word: string) => string {
  const known = new RecentMap<string>(MAX_WORDS);
  const encoder = new TextEncoder();
  return (word) => {
    const isShort = word.length <= MAX_WORD_LENGTH;
    const before = isShort ? known.get(word) : undefined;
    if (before !== undefined) return before;
    let written = "";
    for (const byte of encoder.encode(word)) written += characters[byte]!;
    if (isShort) known.put(word, written);
    return written;
  };
}

/** Gives a step that splits into words and writes their bytes, and those within a step, a memory of words. */
function speedUpStep(step: TokenizerStep | null): void {
  if (step === null) return;
  for (const part of step.tokenizers ?? []) speedUpStep(part);
  if (!step.byte_encoder || !step.pre_tokenize_text) return;
  const write = byteWriter(step.byte_encoder);
  step.pre_tokenize_text = (text) => {
    const whole = step.add_prefix_space === true && !text.startsWith(" ") ? ` ${text}` : text;
    if (step.use_regex !== true) return [write(whole)];
    const words: string[] = whole.match(step.pattern as RegExp) ?? [];
    return words.map(write);
  };
}

/** Gives a decoder of bytes, which writes added tokens as they are and the others together, a set of those. */
function speedUpDecoder(step: TokenizerStep | null): void {
  const { byte_decoder: bytes, added_tokens: added } = step ?? {};
  if (!step || !bytes || !added) return;
  const whole = new Set(added.map(({ content }) => content));
  step.decode_chain = (tokens) => {
    const texts: string[] = [];
    let start = 0;
    for (let i = 0; i <= tokens.length; i++) {
      if (i < tokens.length && !whole.has(tokens[i]!)) continue;
      if (i > start) texts.push(step.convert_tokens_to_string!(tokens.slice(start, i)));
      if (i < tokens.length) texts.push(tokens[i]!);
      start = i + 1;
    }
    return texts;
  };
}

/** Speeds up the steps and the model of a tokenizer; called after the steps are guarded. */
export function speedUp({ pre_tokenizer, decoder, model }: FastTokenizer): void {
  speedUpStep(pre_tokenizer);
  speedUpDecoder(decoder);
  if (model.cache !== undefined) model.cache = new WordTokens(model);
}
