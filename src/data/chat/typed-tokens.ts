/**
 * @file Keeps typed text from becoming special tokens: otherwise a user who writes `<|im_end|>` would end the turn.
 *
 * In no message does the text of a special token become that token; only the chat template writes special tokens. Messages of
 * users and tools cannot write the template's other markup either, such as `</tool_response>`. Messages of the model and of the
 * operator can: models think and call functions in such markup, and system messages describe it.
 *
 * The text of a token is cut after its first character, by a mark that passes through the template, and the text between two
 * marks is encoded separately. A tokenizer that puts a space before every text puts one at each cut.
 */
import { JsonText, type Message } from "../rows/messages.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { isWrittenNumber } from "../formats/long-integer.ts";
import { isRecord } from "../rows/row-error.ts";

/** No text contains it, and changes of letter case, `trim` and quoting leave it unchanged. */
const CUT = "\uFFFC\uFFFD\uFFFC";

/** Roles whose text may contain the template's tokens that are not special. */
const TRUSTED_ROLES: readonly string[] = ["system", "developer", "assistant"];
/** Text between two punctuation marks or symbols; excludes the spaces and plain words that some vocabularies also add as tokens. */
const MARKUP = /^[\p{P}\p{S}].*[\p{P}\p{S}]$/u;

export class TypedTokens {
  /** Match the first characters of special tokens, and of these and the template's other tokens. */
  readonly #special: RegExp | null;
  readonly #all: RegExp | null;

  constructor(
    { specialTokens, wholeTokens }: Pick<Tokenizer, "specialTokens" | "wholeTokens">,
    template: string,
  ) {
    const special = [...specialTokens.keys()];
    const written = wholeTokens.filter((token) => MARKUP.test(token) && template.includes(token));
    this.#special = startsOf(special);
    this.#all = startsOf([...special, ...written]);
  }

  /** Marks where to cut the strings in a JSON value at special tokens; other values stay unchanged. */
  mark<T>(value: T): T {
    return markAll(value, this.#special) as T;
  }

  markMessage(message: Message): Message {
    return markAll(message, TRUSTED_ROLES.includes(message.role) ? this.#special : this.#all) as Message;
  }

  /** Splits a rendered text into the parts that must be encoded separately. */
  parts(text: string): string[] {
    return text.split(CUT);
  }
}

/** Matches the first character of each token; null: there are none. */
function startsOf(tokens: readonly string[]): RegExp | null {
  const escaped = tokens.map((token) => token.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"));
  return escaped.length > 0 ? new RegExp(`(?=${escaped.join("|")}).`, "gsu") : null;
}

function markAll(value: unknown, starts: RegExp | null): unknown {
  if (starts === null) return value;
  if (typeof value === "string") return value.replace(starts, `$&${CUT}`);
  if (Array.isArray(value)) return value.map((each) => markAll(each, starts));
  if (!isRecord(value) || isWrittenNumber(value)) return value;
  if (value instanceof JsonText)
    return new JsonText(markAll(value.text, starts) as string, markAll(value.value, starts));
  const pairs = Object.entries(value).map(([key, each]) => [markAll(key, starts), markAll(each, starts)]);
  return Object.fromEntries(pairs) as unknown;
}
