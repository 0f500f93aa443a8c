/**
 * @file Calls as Qwen's coders write them: `<tool_call><function=NAME><parameter=KEY>VALUE</parameter>…</function></tool_call>`,
 * each mark on a line of its own. Texts are written as they are, all other values as JSON.
 */
import type { Place, RuleBook } from "../grammar/automaton.ts";
import { either, repeat } from "../grammar/json-rules.ts";
import { addTextBefore } from "../grammar/raw-text.ts";
import { SchemaError } from "../grammar/schema-reader.ts";
import { schemaRule } from "../grammar/schema-rules.ts";
import { BETWEEN_MARKS, CLOSE, OPEN } from "./tool-call-marks.ts";
import { type ToolChoice, type ToolFormat, type ToolFunction, addMark, parseJson } from "./tool-format.ts";

const END_OF_VALUE = "\n</parameter>";
const CALL = /^<tool_call>\s*<function=([^>]+)>([\s\S]*?)<\/function>\s*(?:<\/tool_call>|$)/;
const PARAMETER = /<parameter=([^>]+)>\n?([\s\S]*?)\n?<\/parameter>/g;

type Schema = Readonly<Record<string, unknown>>;

function propertiesOf(parameters: ToolFunction["parameters"]): Readonly<Record<string, Schema>> {
  return ((parameters as Schema | null | undefined)?.["properties"] ?? {}) as Readonly<
    Record<string, Schema>
  >;
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
function readValue(text: string): unknown {
  if (PYTHON_WORDS.has(text)) return PYTHON_WORDS.get(text);
  const value = parseJson(text);
  return value === undefined ? text : value;
}

export const QWEN_CODER: ToolFormat = {
  ...BETWEEN_MARKS,
  name: "qwen-coder",
  isOf: ({ template }) => template.includes(OPEN) && template.includes("<function="),
  take(text, isEnd, functions) {
    const found = CALL.exec(text);
    if (!found || (!isEnd && !found[0].endsWith(CLOSE))) return null;
    const [whole, name = "", body = ""] = found;
    const properties = propertiesOf(functions.find((each) => each.name === name)?.parameters);
    const values = [...body.matchAll(PARAMETER)].map(([, key = "", value = ""]) => {
      return [key, isText(properties[key]) ? value : readValue(value)] as const;
    });
    const call = { name, arguments: JSON.stringify(Object.fromEntries(values)) };
    return { calls: [call], rest: text.slice(whole.length) };
  },
  addCalls(book, from, choices, rules) {
    const one = book.rule("marked call", (start) => {
      const open = book.text(addMark(book, start, OPEN, rules), "\n");
      const call = either(
        book,
        open,
        choices.map((choice) => (at) => addFunction(book, at, choice)),
      );
      return addMark(book, book.text(call, "\n"), CLOSE, rules);
    });
    const first = book.call(from, one);
    if (!rules.isParallel) return first;
    return repeat(book, first, 0, null, (at) => book.call(book.text(at, "\n"), one));
  },
};

/** Adds a call with the properties of its schema, in their order. @throws SchemaError for texts that are bounded */
function addFunction(book: RuleBook, from: Place, { name, parameters }: ToolChoice): Place {
  const required = new Set(((parameters as Schema | null | undefined)?.["required"] ?? []) as string[]);
  let at = book.text(from, `<function=${name}>\n`);
  for (const [key, schema] of Object.entries(propertiesOf(parameters))) {
    const value = addValue(book, book.text(at, `<parameter=${key}>\n`), schema, `${name} ${key}`, key);
    const end = book.place();
    book.skip(book.text(value, "\n"), end);
    if (!required.has(key)) book.skip(at, end);
    at = end;
  }
  return book.text(at, "</function>");
}

function addValue(book: RuleBook, from: Place, schema: Schema, name: string, key: string): Place {
  if (!isText(schema)) return book.text(book.call(from, schemaRule(book, schema, name)), END_OF_VALUE);
  const literals = (schema["enum"] ?? ("const" in schema ? [schema["const"]] : null)) as string[] | null;
  if (literals) {
    return either(
      book,
      from,
      literals.map((text) => (at) => book.text(at, text + END_OF_VALUE)),
    );
  }
  const bound = ["pattern", "minLength", "maxLength"].find((word) => word in schema);
  if (bound !== undefined) {
    throw new SchemaError(
      `/properties/${key}/${bound}`,
      "cannot be held where texts are written as they are",
      `Leave out ${bound}.`,
    );
  }
  return addTextBefore(book, from, END_OF_VALUE);
}
