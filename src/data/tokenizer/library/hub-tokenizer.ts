/** @file The tokenizer of @huggingface/tokenizers, with guards: if it fails or takes too long, the error names the file. */
import { Tokenizer as UntypedHubTokenizer } from "@huggingface/tokenizers";
import { FormatError, GraftError } from "../../../errors.ts";
import type { TokenizerFiles } from "../../../format/checkpoint/checkpoint.ts";
import { requireTokenId } from "../../../untrusted/limits.ts";
import { OutOfTime, type TimeBudget } from "../../../untrusted/time-budget.ts";
import { type BytePairs, takeLists, withoutLists } from "./byte-pairs.ts";
import { stripAddedSpaces } from "./added-spaces.ts";
import { useCharacterMaps } from "./character-map.ts";
import { withConfiguredPrefix } from "./configured-prefix.ts";
import { withConfiguredTokens } from "./configured-tokens.ts";
import { markFirstAlone } from "./first-mark.ts";
import { writeNormalized } from "./normalized-tokens.ts";
import { splitAtMarks } from "./split-marks.ts";
import { requireTokenizerForm } from "./tokenizer-form.ts";
import { guardSteps, requireSteps } from "./tokenizer-guards.ts";
import type { SplittingTokenizer } from "./tokenizer-step.ts";
import { speedUp, type TokenizerModel } from "./tokenizer-speed.ts";
import { type UnknowingModel, useUnknownParts } from "./unknown-parts.ts";
import { keepWholeWords } from "./whole-words.ts";

interface EncodeOptions {
  readonly add_special_tokens?: boolean;
  readonly text_pair?: string;
}

/** The part of the library's class that is used; its own declarations do not resolve under NodeNext. */
interface HubTokenizer extends SplittingTokenizer {
  encode(
    text: string,
    options?: EncodeOptions,
  ): { ids: (number | undefined)[]; tokens: (string | undefined)[] };
  decode(ids: number[], options: { clean_up_tokenization_spaces: boolean }): string;
  token_to_id(token: string): number | undefined;
  id_to_token(id: number): string | undefined;
  get_added_tokens_decoder(): Map<number, { content: string; special: boolean; single_word: boolean }>;
  readonly model: TokenizerModel & BytePairs & UnknowingModel;
  /** The file that it was made from. */
  tokenizer?: object;
}

const HubTokenizer = UntypedHubTokenizer as new (tokenizer: object, config: object) => HubTokenizer;

/** Calls `tell` with each token whose id the file states explicitly, in the vocabulary or among added tokens, and that id. */
function eachId(
  { tokenizer, config, tokens }: TokenizerFiles,
  tell: (token: string, id: unknown) => void,
): void {
  const { model, added_tokens: added } = tokenizer as { model?: { vocab?: unknown }; added_tokens?: unknown };
  const vocab = tokens ? null : model?.vocab;
  // Unigram models list their tokens, whose ids are their indexes.
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

/** Refuses ids for which the library would make an enormous array. @throws FormatError "format/file" */
function requireIds(files: TokenizerFiles): void {
  let numTokens = files.tokens?.length ?? 0;
  eachId(files, () => numTokens++);
  eachId(files, (token, id) => requireTokenId(token, id, numTokens));
}

/** Runs the library on a file, and reports any failure as a fault of the file. @throws FormatError "format/file" */
function withFile<T>(verb: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (cause instanceof GraftError) throw cause;
    const found = cause instanceof Error ? cause.message : String(cause);
    throw new FormatError("format/file", `Cannot ${verb} tokenizer "tokenizer.json": ${found}`, {
      hint:
        cause instanceof OutOfTime
          ? "Split the text into shorter ones, or use a tokenizer whose patterns need less time."
          : /^Unknown \w+ type|continuing_subword_prefix/.test(found)
            ? "Choose a model whose tokenizer does not need it: graft has no such component."
            : "Use the unchanged tokenizer.json and tokenizer_config.json of the model.",
      cause,
    });
  }
}

/** The part of the library's tokenizer that works on texts, guarded. */
export interface OpenTokenizer extends Pick<
  HubTokenizer,
  "decode" | "token_to_id" | "id_to_token" | "get_added_tokens_decoder"
> {
  encode(text: string, options?: EncodeOptions): { ids: number[] };
  readonly numIds: number;
}

/** Refuses parts of a text, or special tokens around it, without an id: the file names no unknown token. */
function requireKnown({ ids, tokens }: ReturnType<HubTokenizer["encode"]>): { ids: number[] } {
  const unknown = ids.indexOf(undefined);
  if (unknown >= 0) {
    const what = tokens[unknown] == null ? "a part of a text" : JSON.stringify(tokens[unknown]);
    throw new Error(`it has no id for ${what}, and no unknown token`);
  }
  return { ids: ids as number[] };
}

/** Opens the library's tokenizer. @throws FormatError "format/file", here and from its calls */
export function openHubTokenizer(given: TokenizerFiles, budget: TimeBudget): OpenTokenizer {
  const [hub, withinLimits] = withFile("read", () => {
    requireTokenizerForm(given);
    requireIds(given);
    const files = withConfiguredPrefix(withConfiguredTokens(given));
    const { normalizer, pre_tokenizer: preTokenizer, decoder } = files.tokenizer;
    for (const step of [normalizer, preTokenizer, decoder]) requireSteps(step);
    const { tokenizer, fill } = takeLists(files);
    const hub = new HubTokenizer(tokenizer, files.config);
    fill(hub.model);
    // Drops what the library has read but would keep as long as it lives: several times the memory of the file.
    delete hub.tokenizer;
    hub.model.config = withoutLists(hub.model.config);
    useUnknownParts(hub, files);
    useCharacterMaps(hub.normalizer);
    const withinLimits = guardSteps(hub.normalizer, hub.pre_tokenizer, hub.decoder, budget);
    const addedLength = hub.added_tokens.reduce((sum, { content }) => sum + content.length, 0);
    withinLimits(addedLength, () => writeNormalized(hub, hub.model.vocab));
    keepWholeWords(hub);
    stripAddedSpaces(hub);
    markFirstAlone(hub);
    splitAtMarks(hub.pre_tokenizer, preTokenizer);
    speedUp(hub);
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
