/**
 * @file Arguments that are written one by one, each behind its key and before a mark: texts as they are, all other values as
 * JSON.
 */
import type { Place, RuleBook } from "../grammar/rules/automaton.ts";
import { either } from "../grammar/rules/json-rules.ts";
import { addTextBefore } from "../grammar/rules/raw-text.ts";
import { SchemaError } from "../grammar/schema/schema-keywords.ts";
import { schemaRule } from "../grammar/schema/schema-rules.ts";
import { type ToolChoice, type ToolFunction, parseJson } from "./tool-format.ts";

export type Schema = Readonly<Record<string, unknown>>;

/** What stands around each value. */
export interface KeyedForm {
  /** Adds the key, and what is before and behind it. */
  readonly addKey: (book: RuleBook, from: Place, key: string) => Place;
  /** What ends a value, in ASCII. */
  readonly end: string;
}

/** The schemas of a function's arguments, or of an object's values, by name. */
export function propertiesOf(
  parameters: Schema | ToolFunction["parameters"],
): Readonly<Record<string, Schema>> {
  return ((parameters as Schema | null | undefined)?.["properties"] ?? {}) as Readonly<
    Record<string, Schema>
  >;
}

/** Names of those that must be there. */
export function requiredOf(parameters: Schema | ToolFunction["parameters"]): ReadonlySet<string> {
  return new Set(((parameters as Schema | null | undefined)?.["required"] ?? []) as string[]);
}

/** Whether values are written as they are. */
function isText(schema: Schema | undefined): boolean {
  return schema?.["type"] === "string";
}

/** Words that templates, which run in Python, write for values of JSON: models have learned both. */
const PYTHON_WORDS: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ["True", true],
  ["False", false],
  ["None", null],
]);

/** Reads a value that is no text by its schema; what is neither JSON nor Python's is text all the same. */
export function readValue(text: string): unknown {
  if (PYTHON_WORDS.has(text)) return PYTHON_WORDS.get(text);
  const value = parseJson(text);
  return value === undefined ? text : value;
}

/** Arguments that were read, as JSON; `functions`: those that there are. */
export function keyedArguments(
  pairs: readonly (readonly [key: string, value: string])[],
  name: string,
  functions: readonly ToolFunction[],
): string {
  const properties = propertiesOf(functions.find((each) => each.name === name)?.parameters);
  const values = pairs.map(([key, value]) => [key, isText(properties[key]) ? value : readValue(value)]);
  return JSON.stringify(Object.fromEntries(values));
}

/** Adds the arguments of a function, in the order of its schema. @throws SchemaError for texts that are bounded */
export function addKeyedArguments(
  book: RuleBook,
  from: Place,
  { name, parameters }: ToolChoice,
  { addKey, end }: KeyedForm,
): Place {
  const required = requiredOf(parameters);
  let at = from;
  for (const [key, schema] of Object.entries(propertiesOf(parameters))) {
    const next = book.place();
    const value = addKey(book, at, key);
    const written = isText(schema)
      ? addText(book, value, listedTexts(schema, `/properties/${key}`), end)
      : book.text(book.call(value, schemaRule(book, schema, `${name} ${key}`)), end);
    book.skip(written, next);
    if (!required.has(key)) book.skip(at, next);
    at = next;
  }
  return at;
}

/** A pair that is to be added. */
interface NextPair {
  readonly from: Place;
  readonly key: string;
  readonly schema: Schema;
}

/** What pairs are added. */
interface PairForm {
  /** In their order. */
  readonly pairs: readonly (readonly [key: string, schema: Schema])[];
  /** Keys of those that must be there. */
  readonly required: ReadonlySet<string>;
  /** What stands before all but the first. */
  readonly between: string;
}

/** Adds pairs of a key and a value. */
export function addPairs(
  book: RuleBook,
  from: Place,
  { pairs, required, between }: PairForm,
  addPair: (pair: NextPair) => Place,
): Place {
  // Where nothing has been written, and where something has.
  let [bare, more] = [from, book.place()];
  for (const [key, schema] of pairs) {
    const start = book.place();
    book.skip(bare, start);
    book.skip(book.text(more, between), start);
    const [nothing, something] = [book.place(), book.place()];
    book.skip(addPair({ from: start, key, schema }), something);
    if (!required.has(key)) {
      book.skip(bare, nothing);
      book.skip(more, something);
    }
    [bare, more] = [nothing, something];
  }
  const end = book.place();
  book.skip(bare, end);
  book.skip(more, end);
  return end;
}

/** Adds one of some texts, or any where there are none to choose from, and what ends it. */
function addText(book: RuleBook, from: Place, texts: readonly string[] | null, end: string): Place {
  if (texts === null) return addTextBefore(book, from, end);
  return either(
    book,
    from,
    texts.map((text) => (at) => book.text(at, text + end)),
  );
}

/**
 * The texts that a schema lists; null: any text will do.
 * @throws SchemaError for texts that are bounded, which nobody counts here
 */
export function listedTexts(schema: Schema, path: string): readonly string[] | null {
  const listed = (schema["enum"] ?? ("const" in schema ? [schema["const"]] : null)) as string[] | null;
  if (listed) return listed;
  const bound = ["pattern", "minLength", "maxLength"].find((word) => word in schema);
  if (bound === undefined) return null;
  throw new SchemaError(
    `${path}/${bound}`,
    "cannot be enforced where strings are written unquoted",
    `Leave out ${bound}.`,
  );
}
