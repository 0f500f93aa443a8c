/**
 * @file Text to token ids and back, from the two tokenizer files of a Hugging Face model folder.
 *
 * The work is done by @huggingface/tokenizers; this file decides what it leaves open: special tokens are put around a text
 * according to `add_bos_token` and `add_eos_token`, spaces before punctuation are never "cleaned up" (it corrupts decoded
 * text), and ids beyond the vocabulary (padded embeddings) decode to nothing.
 */
import { z } from "zod";
import { A_CHOICE, ANYTHING, checkArguments, IDS, lazily, objectWith } from "../../messages/arguments.ts";
import type { TokenizerFiles } from "../../format/checkpoint/checkpoint.ts";
import { tokenText } from "../../format/checkpoint/token-text.ts";
import { TimeBudget } from "../../untrusted/time-budget.ts";
import { type OpenTokenizer, openHubTokenizer } from "./library/hub-tokenizer.ts";
import { affixesOf, type PairTemplate } from "./affixes.ts";
import { byteReader } from "./token-bytes.ts";
import { createTokenStream, type TokenStream } from "./token-stream.ts";

interface EncodeOptions {
  /** Puts the tokenizer's own bos and eos around the text. Default: true. */
  readonly addSpecialTokens?: boolean;
}

/** Options of `decode` and `stream`. */
export interface DecodeOptions {
  /** Leaves special tokens out of the text. Default: false. */
  readonly skipSpecialTokens?: boolean;
  /** Special tokens that are kept when others are left out. */
  readonly shownIds?: ReadonlySet<number>;
}

/** Options for decoding ids one by one. */
export interface StreamOptions extends DecodeOptions {
  /** The ids that the text continues: some decoders strip a space at the beginning of a text. */
  readonly after?: readonly number[];
}

/** Text to token ids and back. Special tokens are recognised in the text itself. */
export interface Tokenizer {
  /** Highest id plus one. */
  readonly vocabSize: number;
  readonly bosId: number | null;
  readonly eosId: number | null;
  readonly padId: number | null;
  /** Written form → id of each special token. */
  readonly specialTokens: ReadonlyMap<string, number>;
  /**
   * Written forms of tokens that are always found as wholes, and are not special: Qwen's `<tool_call>`, runs of spaces in
   * others.
   */
  readonly wholeTokens: readonly string[];
  /** What `encode` puts before a text: bos, or nothing. */
  readonly prefixIds: readonly number[];
  /** What `encode` puts after a text: nothing, or eos. */
  readonly suffixIds: readonly number[];
  encode(text: string, options?: EncodeOptions): number[];
  /** What `encodePair` puts between two texts and after them; `prefixIds` come before them. */
  readonly pair: PairTemplate;
  /** Encodes a pair of texts, and tells where the second begins. */
  encodePair(first: string, second: string): { readonly ids: number[]; readonly secondAt: number };
  decode(ids: readonly number[] | Int32Array, options?: DecodeOptions): string;
  tokenToId(token: string): number | null;
  /** The bytes of one token, which may be a part of a character; null for an id that does not exist. */
  tokenBytes(id: number): Uint8Array | null;
  /** Starts a decoder that takes one id at a time and emits whole characters. */
  stream(options?: StreamOptions): TokenStream;
}

/** Decodes ids that continue others, without special tokens except `shownIds`. */
export function decodeAfter(
  tokenizer: Tokenizer,
  after: readonly number[],
  ids: readonly number[],
  shownIds?: ReadonlySet<number>,
): string {
  const stream = tokenizer.stream({ skipSpecialTokens: true, after, ...(shownIds && { shownIds }) });
  return ids.map((id) => stream.push(id)).join("") + stream.end();
}

/** Makes the function that reads the bytes of one token. */
function tokenBytesOf(
  hub: OpenTokenizer,
  { tokenizer }: TokenizerFiles,
  decode: Tokenizer["decode"],
): Tokenizer["tokenBytes"] {
  const readBytes = byteReader(tokenizer["decoder"]);
  // Read once: the library makes a new table of all added tokens at each call.
  const added = hub.get_added_tokens_decoder();
  return (id) => {
    const token = hub.id_to_token(id);
    if (token === undefined) return null;
    // If the decoder joins words, a token's bytes are those of its text when decoded alone.
    const isText = readBytes === null || added.get(id)?.content === token;
    return isText
      ? new TextEncoder().encode(decode([id]))
      : Uint8Array.from(readBytes(token), (byte) => byte.charCodeAt(0));
  };
}

const ENCODING = { addSpecialTokens: A_CHOICE.optional() };
const DECODING = { skipSpecialTokens: A_CHOICE.optional(), shownIds: ANYTHING };
const STREAMING = { ...DECODING, after: ANYTHING };
const ENCODE = lazily(() => z.strictObject({ text: z.string(), options: z.strictObject(ENCODING) }));
const STREAM = lazily(() => z.strictObject({ options: z.strictObject(STREAMING) }));
const PAIR = lazily(() => z.strictObject({ first: z.string(), second: z.string() }));
const DECODE = lazily(() => z.strictObject({ ids: IDS, options: z.strictObject(DECODING) }));

/** Whether a value is an object with no members other than these. */
function hasOnly(value: unknown, members: object): boolean {
  return (
    typeof value === "object" &&
    value !== null &&
    Object.keys(value).every((key) => Object.hasOwn(members, key))
  );
}

const ARGUMENTS = lazily(() =>
  z.strictObject({
    files: objectWith<TokenizerFiles>("a checkpoint's tokenizerFiles", "tokenizer", "config"),
  }),
);

/**
 * Makes a tokenizer. Encoding takes time linear in the text, within `budget`, or fails.
 * @throws UsageError "usage/flag", FormatError "format/file"
 */
export function createTokenizer(files: TokenizerFiles, budget = new TimeBudget()): Tokenizer {
  checkArguments("createTokenizer", ARGUMENTS, { files });
  const hub = openHubTokenizer(files, budget);
  const { config } = files;
  const tokenToId = (token: string): number | null => hub.token_to_id(token) ?? null;
  const idOf = (value: unknown): number | null => {
    const text = tokenText(value);
    return text === null ? null : tokenToId(text);
  };
  const bosId = idOf(config["bos_token"]);
  const eosId = idOf(config["eos_token"]);
  const added = [...hub.get_added_tokens_decoder()];
  const special = added.filter(([, token]) => token.special);
  const specialTokens = new Map(special.map(([id, { content }]) => [content, id]));
  const wholeTokens = added
    .filter(([, token]) => !token.special && !token.single_word)
    .map(([, { content }]) => content);
  const specialIds = new Set(specialTokens.values());
  const { prefix, suffix, pair } = affixesOf(hub, config, { bosId, eosId });

  const isLeftOut = (id: number, { skipSpecialTokens, shownIds }: DecodeOptions): boolean =>
    hub.id_to_token(id) === undefined ||
    (skipSpecialTokens === true && specialIds.has(id) && shownIds?.has(id) !== true);

  const decode = (ids: readonly number[] | Int32Array, options: DecodeOptions = {}): string => {
    if (!Array.isArray(ids) || !hasOnly(options, DECODING))
      checkArguments("decode", DECODE, { ids, options });
    const known = Array.from(ids).filter((id) => !isLeftOut(id, options));
    return known.length === 0 ? "" : hub.decode(known, { clean_up_tokenization_spaces: false });
  };

  return {
    vocabSize: hub.numIds,
    bosId,
    eosId,
    padId: idOf(config["pad_token"]),
    specialTokens,
    wholeTokens,
    prefixIds: prefix,
    suffixIds: suffix,
    get pair() {
      return pair();
    },
    encodePair(first, second) {
      if (typeof first !== "string" || typeof second !== "string")
        checkArguments("encodePair", PAIR, { first, second });
      const { middle, suffix: behind } = pair();
      const idsOf = (text: string): number[] => hub.encode(text, { add_special_tokens: false }).ids;
      const before = [...prefix, ...idsOf(first), ...middle];
      return { ids: [...before, ...idsOf(second), ...behind], secondAt: before.length };
    },
    encode(text, options = {}) {
      // Schemas are too slow here: thousands of texts are encoded one after another.
      if (typeof text !== "string" || !hasOnly(options, ENCODING))
        checkArguments("encode", ENCODE, { text, options });
      const { ids } = hub.encode(text, { add_special_tokens: false });
      return options.addSpecialTokens === false ? ids : [...prefix, ...ids, ...suffix];
    },
    decode,
    tokenToId,
    tokenBytes: tokenBytesOf(hub, files, decode),
    stream(options = {}) {
      if (!hasOnly(options, STREAMING)) checkArguments("stream", STREAM, { options });
      const { after: before, ...how } = options;
      return createTokenStream((ids) => decode(ids, how), {
        before: before ?? [],
        isLeftOut: (id) => isLeftOut(id, how),
      });
    },
  };
}
