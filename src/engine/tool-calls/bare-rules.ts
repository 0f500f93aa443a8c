/**
 * @file Grammar rules of values in the form of Gemma's calls: objects have bare keys in their order, texts stand between
 * marks, and all else is as in JSON.
 */
import type { Place, RuleBook } from "../grammar/rules/automaton.ts";
import { count, either } from "../grammar/rules/json-rules.ts";
import { addAnyText, addTextBefore } from "../grammar/rules/raw-text.ts";
import { SchemaError } from "../grammar/schema/schema-keywords.ts";
import { schemaRule } from "../grammar/schema/schema-rules.ts";
import { type Schema, addPairs, listedTexts, propertiesOf, requiredOf } from "./keyed-arguments.ts";
import { type CallRules, addMark } from "./tool-format.ts";

const SCALARS: ReadonlySet<unknown> = new Set(["integer", "number", "boolean", "null"]);

/** Adds values of one call, as far as this form has words for their schemas. */
export class BareRules {
  readonly #book: RuleBook;
  readonly #quote: string;
  readonly #rules: CallRules;
  readonly #name: string;

  constructor(book: RuleBook, quote: string, rules: CallRules, name: string) {
    this.#book = book;
    this.#quote = quote;
    this.#rules = rules;
    this.#name = name;
  }

  /** `{KEY:VALUE,…}`, with a comma before every pair but the first that is there. @throws SchemaError */
  object(from: Place, schema: Schema, path: string): Place {
    const book = this.#book;
    const sorted = Object.entries(propertiesOf(schema)).toSorted(([a], [b]) =>
      a.toLowerCase() < b.toLowerCase() ? -1 : 1,
    );
    const form = { pairs: sorted, required: requiredOf(schema), between: "," };
    const pairs = addPairs(book, book.text(from, "{"), form, ({ from: start, key, schema: own }) =>
      this.value(book.text(start, `${key}:`), own, `${path}/properties/${key}`),
    );
    return book.text(pairs, "}");
  }

  value(from: Place, schema: Schema, path: string): Place {
    const book = this.#book;
    const { type } = schema;
    if (type === "string") {
      const quoted = this.#mark(from);
      const listed = listedTexts(schema, path)?.map((text) => (at: Place) => this.#mark(book.text(at, text)));
      return listed ? either(book, quoted, listed) : this.#text(quoted);
    }
    if (SCALARS.has(type)) return book.call(from, schemaRule(book, schema, `${this.#name}${path}`));
    if (type === "object") return this.object(from, schema, path);
    if (type === "array" && schema["items"] !== undefined) return this.#list(from, schema, path);
    throw new SchemaError(
      path,
      "has a schema that cannot be enforced for calls of this model",
      "Give it a single type, and give arrays a schema for their items.",
    );
  }

  #list(from: Place, schema: Schema, path: string): Place {
    const book = this.#book;
    const { minItems = 0, maxItems = null } = schema as { minItems?: number; maxItems?: number | null };
    const item = book.rule(`item ${this.#name}${path}`, (start) =>
      this.value(start, schema["items"] as Schema, `${path}/items`),
    );
    const open = book.text(from, "[");
    const more = { least: Math.max(0, minItems - 1), most: maxItems === null ? null : maxItems - 1 };
    const some = (): Place =>
      count(book, book.call(open, item), more, (at) => book.call(book.text(at, ","), item));
    const ways = [...(minItems === 0 ? [(at: Place) => at] : []), ...(maxItems === 0 ? [] : [some])];
    return book.text(either(book, open, ways), "]");
  }

  #mark(from: Place): Place {
    return addMark(this.#book, from, this.#quote, this.#rules);
  }

  /** Any text, and the mark behind it. */
  #text(from: Place): Place {
    const isToken = this.#rules.specialTokens.has(this.#quote);
    return isToken ? this.#mark(addAnyText(this.#book, from)) : addTextBefore(this.#book, from, this.#quote);
  }
}
