/**
 * @file Text to token ids and back, from the two tokenizer files of a Hugging Face model folder.
 *
 * The work is done by @huggingface/tokenizers; this file settles what it leaves open: special tokens are put around a
 * text as `add_bos_token` and `add_eos_token` say, spaces before punctuation are never "cleaned up" (it corrupts
 * decoded text), and ids beyond the vocabulary (padded embeddings) decode to nothing.
 */
import { Tokenizer as UntypedHubTokenizer } from "@huggingface/tokenizers";
import { FormatError, GraftError } from "../../errors.ts";
import { requireTokenId } from "../../untrusted/limits.ts";
import { OutOfTime, TimeBudget } from "../../untrusted/time-budget.ts";
import type { TokenizerFiles } from "../../format/checkpoint/checkpoint.ts";
import { requireTokenizerForm } from "./tokenizer-form.ts";
import { guardSteps, requireSteps, type TokenizerStep } from "./tokenizer-guards.ts";
import { type BytePairs, takeLists } from "./byte-pairs.ts";
import { speedUp, type TokenizerModel } from "./tokenizer-speed.ts";
import { useCharacterMaps } from "./character-map.ts";
import { byteReader } from "./token-bytes.ts";
import { createTokenStream, type TokenStream } from "./token-stream.ts";

/** Options of `encode`. */
export interface EncodeOptions {
  /** Puts the tokenizer's own bos and eos around the text; true unless told. */
  readonly addSpecialTokens?: boolean;
}

/** Options of `decode` and `stream`. */
export interface DecodeOptions {
  /** Leaves special tokens out of the text; false unless told. */
  readonly skipSpecialTokens?: boolean;
  /** Special tokens that stay although others are left out. */
  readonly shownIds?: ReadonlySet<number>;
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
  /** Written forms that are a token each wherever they stand, and not special: `<tool_call>` of Qwen's, runs of spaces of others'. */
  readonly wholeTokens: readonly string[];
  /** What `encode` puts before a text: bos, or nothing. */
  readonly prefixIds: readonly number[];
  /** What `encode` puts after a text: nothing, or eos. */
  readonly suffixIds: readonly number[];
  encode(text: string, options?: EncodeOptions): number[];
  decode(ids: readonly number[] | Int32Array, options?: DecodeOptions): string;
  tokenToId(token: string): number | null;
  /** The bytes of one token, which may be a part of a character; null for an id that there is not. */
  tokenBytes(id: number): Uint8Array | null;
  /** Starts a decoder that takes one id at a time and emits whole characters. */
  stream(options?: DecodeOptions): TokenStream;
}

/** Reads a token of tokenizer_config.json, which is a string or an object with `content`; null when absent. */
export function specialTokenText(value: unknown): string | null {
  if (typeof value === "string") return value;
  if (typeof value === "object" && value !== null && "content" in value)
    return specialTokenText(value.content);
  return null;
}

/** The part of the library's class that is used; its own declarations do not resolve under NodeNext. */
interface HubTokenizer {
  encode(
    text: string,
    options?: { add_special_tokens?: boolean },
  ): { ids: (number | undefined)[]; tokens: (string | undefined)[] };
  decode(ids: number[], options: { clean_up_tokenization_spaces: boolean }): string;
  token_to_id(token: string): number | undefined;
  id_to_token(id: number): string | undefined;
  get_added_tokens_decoder(): Map<number, { content: string; special: boolean }>;
  normalizer: TokenizerStep | null;
  pre_tokenizer: TokenizerStep | null;
  decoder: TokenizerStep | null;
  model: TokenizerModel & BytePairs;
}

const HubTokenizer = UntypedHubTokenizer as new (tokenizer: object, config: object) => HubTokenizer;

/** Tells every id of a file that is no place in a list, with its token: of the vocabulary and of what is added to it. */
function eachId(
  { tokenizer, config, tokens }: TokenizerFiles,
  tell: (token: string, id: unknown) => void,
): void {
  const { model, added_tokens: added } = tokenizer as { model?: { vocab?: unknown }; added_tokens?: unknown };
  const vocab = tokens ? null : model?.vocab;
  // Unigram models list their tokens, whose ids are their places.
  if (typeof vocab === "object" && vocab !== null && !Array.isArray(vocab)) {
    const ids = vocab as Readonly<Record<string, unknown>>;
    for (const token of Object.keys(ids)) tell(token, ids[token]);
  }
  for (const token of Array.isArray(added) ? (added as unknown[]) : []) {
    const { content, id } = (token ?? {}) as { content?: unknown; id?: unknown };
    tell(String(content), id);
  }
  const more = config["added_tokens_decoder"];
  if (typeof more === "object" && more !== null)
    for (const [id, token] of Object.entries(more))
      tell(String((token as { content?: unknown } | null)?.content), Number(id));
}

/** Refuses ids for which the library would make an array without end. @throws FormatError "format/file" */
function requireIds(files: TokenizerFiles): void {
  let numTokens = files.tokens?.length ?? 0;
  eachId(files, () => numTokens++);
  eachId(files, (token, id) => requireTokenId(token, id, numTokens));
}

/** Runs the library on a file; whatever it stumbles over is the file's fault. @throws FormatError "format/file" */
function withFile<T>(verb: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (cause instanceof GraftError) throw cause;
    const found = cause instanceof Error ? cause.message : String(cause);
    throw new FormatError("format/file", `Cannot ${verb} tokenizer "tokenizer.json": ${found}`, {
      hint:
        cause instanceof OutOfTime
          ? "Divide the text into shorter ones, or take a tokenizer whose patterns need less time."
          : "Take tokenizer.json and tokenizer_config.json unchanged from the model's folder.",
      cause,
    });
  }
}

/** The part of the library's tokenizer that works on texts, guarded. */
interface OpenTokenizer extends Omit<
  HubTokenizer,
  "encode" | "normalizer" | "pre_tokenizer" | "decoder" | "model"
> {
  encode(text: string, options?: { add_special_tokens?: boolean }): { ids: number[] };
  readonly numIds: number;
}

/** Refuses parts of a text, or special tokens around it, that have no id: the file names no token for what it does not know. */
function requireKnown({ ids, tokens }: ReturnType<HubTokenizer["encode"]>): { ids: number[] } {
  const unknown = ids.indexOf(undefined);
  if (unknown >= 0) {
    const what = tokens[unknown] == null ? "a part of a text" : JSON.stringify(tokens[unknown]);
    throw new Error(`it has no id for ${what}, nor a token for what is unknown`);
  }
  return { ids: ids as number[] };
}

function openHubTokenizer(files: TokenizerFiles, budget: TimeBudget): OpenTokenizer {
  const [hub, withinLimits] = withFile("read", () => {
    requireTokenizerForm(files);
    requireIds(files);
    const { normalizer, pre_tokenizer: preTokenizer, decoder } = files.tokenizer;
    for (const step of [normalizer, preTokenizer, decoder]) requireSteps(step);
    const { tokenizer, fill } = takeLists(files);
    const hub = new HubTokenizer(tokenizer, files.config);
    fill(hub.model);
    useCharacterMaps(hub.normalizer);
    const withinLimits = guardSteps(hub.normalizer, hub.pre_tokenizer, hub.decoder, budget);
    speedUp(hub.pre_tokenizer, hub.model);
    return [hub, withinLimits] as const;
  });
  return {
    encode: (text, options) =>
      withFile("encode with", () => withinLimits(text.length, () => requireKnown(hub.encode(text, options)))),
    decode: (ids, options) =>
      withFile("decode with", () => withinLimits(ids.length, () => hub.decode(ids, options))),
    token_to_id: (token) => hub.token_to_id(token),
    id_to_token: (id) => hub.id_to_token(id),
    numIds: hub.model.vocab.length,
    get_added_tokens_decoder: () => hub.get_added_tokens_decoder(),
  };
}

/** Finds the ids that the post-processor puts before and after any text. */
function readAffixes(hub: OpenTokenizer): { prefix: number[]; suffix: number[] } {
  const body = hub.encode("a", { add_special_tokens: false }).ids;
  const whole = hub.encode("a").ids;
  for (let start = 0; start + body.length <= whole.length; start++) {
    if (body.every((id, i) => whole[start + i] === id)) {
      return { prefix: whole.slice(0, start), suffix: whole.slice(start + body.length) };
    }
  }
  return { prefix: [], suffix: [] };
}

/** Adds or removes one id of an affix as the configuration says; anything but true or false leaves it alone. */
function applySetting(affix: number[], id: number | null, setting: unknown): number[] {
  if (id === null) return affix;
  if (setting === false) return affix.filter((other) => other !== id);
  return setting === true && !affix.includes(id) ? [id] : affix;
}

/** Makes a tokenizer. Encoding takes time linear in the text, or fails: `budget` says how much. @throws format/file */
export function createTokenizer(files: TokenizerFiles, budget = new TimeBudget()): Tokenizer {
  const hub = openHubTokenizer(files, budget);
  const { config } = files;
  const tokenToId = (token: string): number | null => hub.token_to_id(token) ?? null;
  const idOf = (value: unknown): number | null => {
    const text = specialTokenText(value);
    return text === null ? null : tokenToId(text);
  };
  const bosId = idOf(config["bos_token"]);
  const eosId = idOf(config["eos_token"]);
  const specialTokens = new Map<string, number>();
  const wholeTokens: string[] = [];
  for (const [id, { content, special }] of hub.get_added_tokens_decoder()) {
    if (special) specialTokens.set(content, id);
    else wholeTokens.push(content);
  }
  const specialIds = new Set(specialTokens.values());
  const affixes = readAffixes(hub);
  const prefix = applySetting(affixes.prefix, bosId, config["add_bos_token"]);
  const suffix = applySetting(affixes.suffix, eosId, config["add_eos_token"]);

  const decode = (ids: readonly number[] | Int32Array, options: DecodeOptions = {}): string => {
    const known = Array.from(ids).filter(
      (id) =>
        hub.id_to_token(id) !== undefined &&
        !(options.skipSpecialTokens === true && specialIds.has(id) && options.shownIds?.has(id) !== true),
    );
    return known.length === 0 ? "" : hub.decode(known, { clean_up_tokenization_spaces: false });
  };

  const readBytes = byteReader(files.tokenizer["decoder"]);
  const tokenBytes = (id: number): Uint8Array | null => {
    const token = hub.id_to_token(id);
    if (token === undefined) return null;
    // Words that are put together are told as the text that each is alone.
    const isText = readBytes === null || hub.get_added_tokens_decoder().has(id);
    return isText
      ? new TextEncoder().encode(decode([id]))
      : Uint8Array.from(readBytes(token), (byte) => byte.charCodeAt(0));
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
    encode(text, options = {}) {
      const { ids } = hub.encode(text, { add_special_tokens: false });
      return options.addSpecialTokens === false ? ids : [...prefix, ...ids, ...suffix];
    },
    decode,
    tokenToId,
    tokenBytes,
    stream: (options = {}) => createTokenStream((ids) => decode(ids, options)),
  };
}
