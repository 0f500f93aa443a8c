/**
 * @file Texts of special tokens in what people say, such as `<|im_end|>`: they stay text. In a conversation the chat template
 * alone writes tokens that end a turn or begin another.
 *
 * Each is cut behind its first character, by a mark that passes through the template; the text between two marks is then
 * encoded by itself. A tokenizer that puts a space before every text puts one there.
 */
import { LongInteger } from "../formats/long-integer.ts";
import { isRecord } from "../rows/row-error.ts";

/** No text has it, and neither letter case, `trim` nor ways to quote a text change it. */
const CUT = "\uFFFC\uFFFD\uFFFC";

export class TypedTokens {
  /** The first character of each; null: there are no special tokens. */
  readonly #starts: RegExp | null;

  constructor(specialTokens: ReadonlyMap<string, number>) {
    const tokens = [...specialTokens.keys()].map((token) => token.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"));
    this.#starts = tokens.length > 0 ? new RegExp(`(?=${tokens.join("|")}).`, "gsu") : null;
  }

  /** Marks where to cut the texts within a value of JSON; whatever is no text is as it was. */
  mark<T>(value: T): T {
    return this.#starts === null ? value : (markAll(value, this.#starts) as T);
  }

  /** The parts of a rendered text that are to be encoded by themselves. */
  parts(text: string): string[] {
    return text.split(CUT);
  }
}

function markAll(value: unknown, starts: RegExp): unknown {
  if (typeof value === "string") return value.replace(starts, `$&${CUT}`);
  if (Array.isArray(value)) return value.map((each) => markAll(each, starts));
  if (!isRecord(value) || value instanceof LongInteger) return value;
  const pairs = Object.entries(value).map(([key, each]) => [markAll(key, starts), markAll(each, starts)]);
  return Object.fromEntries(pairs) as unknown;
}
