/** @file Converts tokens to train that are given as texts into ids. */
import { isDeepStrictEqual } from "node:util";
import { requireTokenizer } from "../../../data/chat/text-tools.ts";
import { type Tokenizer, createTokenizer } from "../../../data/tokenizer/tokenizer.ts";
import { UsageError } from "../../../errors.ts";
import type { Checkpoint } from "../../../format/checkpoint/checkpoint.ts";
import { parseMethodOptions } from "../../../peft/layout.ts";
import type { Adapter } from "../../../peft/attach.ts";
import { type Method, trainedTokens } from "../../../peft/method.ts";
import { trainedRows } from "../../../peft/trained-base/trained-rows.ts";
import { type TRAINED_TOKENS, mapTokens, tokenLists } from "../../../peft/trained-base/trained-tokens.ts";

const KEY: keyof typeof TRAINED_TOKENS = "trainableTokenIndices";

/**
 * A method's options with token texts replaced by ids.
 * @throws UsageError "usage/flag" for a text that is not one token, "usage/model" for a model without a tokenizer
 */
export function withTokenIds(
  modelName: string,
  { tokenizerFiles }: Pick<Checkpoint, "tokenizerFiles">,
  method: Method,
  ofMethod: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  const tokens = trainedTokens(method, parseMethodOptions(method, ofMethod));
  const all = tokenLists(tokens).flatMap(([, list]) => list);
  if (!all.some((token) => typeof token === "string")) return ofMethod;
  const tokenizer = createTokenizer(requireTokenizer(modelName, tokenizerFiles));
  const toId = (token: number | string): number =>
    typeof token === "number" ? token : idOf(tokenizer, token);
  return { ...ofMethod, [KEY]: mapTokens(tokens, (list) => list.map(toId)) };
}

/** Whether an option names the same rows as an adapter's: a list and lists by module can mean the same rows. */
export function namesSameRows(
  key: string,
  value: unknown,
  { model, method, options, sites }: Adapter,
): boolean {
  if (key !== KEY) return false;
  const asked = { ...(options as object), [KEY]: value };
  const [own, other] = [options, asked].map((each) =>
    trainedRows(model, method, each, sites).map(({ rows }) => rows),
  );
  return isDeepStrictEqual(own, other);
}

function idOf(tokenizer: Tokenizer, text: string): number {
  const own = tokenizer.tokenToId(text);
  const ids = tokenizer.encode(text, { addSpecialTokens: false });
  const [id = own] = ids.length === 1 ? ids : [];
  // A text that is not in the vocabulary becomes the special token for unknown texts.
  const isUnknown = id !== own && [...tokenizer.specialTokens.values()].some((special) => special === id);
  if (id !== null && !isUnknown) return id;
  const found = isUnknown
    ? `the tokenizer does not have it, and reads token ${id}`
    : `it is ${ids.length} tokens (${ids.join(", ")})`;
  throw new UsageError(
    "usage/flag",
    `Cannot train the row of ${JSON.stringify(text)}: ${found}, expected a token of its own`,
    { hint: "Give a text that is one token of the model's tokenizer, or ids." },
  );
}
