/** @file What the schema of a function says of each argument, for those who read a call that nobody may have held to it. */
import { SchemaError } from "../grammar/schema/schema-keywords.ts";
import { SchemaReader } from "../grammar/schema/schema-reader.ts";
import { ANYTHING, type ValueShape, areTexts, mayHave, propertyOf } from "../grammar/schema/shape.ts";
import { type ToolFunction, argumentSchema, parseJson } from "./tool-format.ts";

/** Words that templates, which run in Python, write for values of JSON: models have learned both. */
const PYTHON_WORDS: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ["True", true],
  ["False", false],
  ["None", null],
]);

/** Reads a value of JSON or Python; undefined: it is none. */
function parseValue(text: string): unknown {
  return PYTHON_WORDS.has(text) ? PYTHON_WORDS.get(text) : parseJson(text);
}

/** Reads a value of which nothing is known; what is neither JSON nor Python's is text. */
export function readValue(text: string): unknown {
  const value = parseValue(text);
  return value === undefined ? text : value;
}

/** Where a value ends, and what it is. */
interface EndedValue {
  readonly value: unknown;
  readonly next: number;
}

export class ArgumentShapes {
  readonly #schema: object;
  #reader: SchemaReader | null = null;

  /** `tool` undefined: its schema is not known. */
  constructor(tool: ToolFunction | undefined) {
    this.#schema = tool ? argumentSchema(tool) : {};
  }

  /** What an argument may be: anything where the schema cannot be read. */
  of(key: string): readonly ValueShape[] {
    try {
      const reader = (this.#reader ??= new SchemaReader(this.#schema, { isLenient: true }));
      const wholes = reader.shapesOf([{ schema: this.#schema, path: "" }]);
      return wholes.flatMap((whole) => reader.shapesOf(propertyOf(whole, key)));
    } catch (error) {
      if (error instanceof SchemaError) return [ANYTHING];
      throw error;
    }
  }

  /**
   * Reads an argument that begins at a place of a text and stands before a mark, `end`, which has the flag g; null: it does not
   * end. A mark within JSON is part of it.
   */
  read(
    key: string,
    text: string,
    { from, end }: { readonly from: number; readonly end: RegExp },
  ): EndedValue | null {
    const shapes = this.of(key);
    end.lastIndex = from;
    let found = end.exec(text);
    if (!found) return null;
    const raw = { value: text.slice(from, found.index), next: end.lastIndex };
    if (areTexts(shapes)) return raw;
    const isNested = /^\s*["[{]/.test(raw.value);
    for (; found; found = isNested ? end.exec(text) : null) {
      const value = parseValue(text.slice(from, found.index));
      if (value === undefined) continue;
      // What reads as a number or a word is a text where the schema has texts and no such value.
      const isText = !mayHave(value, shapes) && shapes.some(({ types }) => types.has("string"));
      return isText ? raw : { value, next: end.lastIndex };
    }
    return raw;
  }
}
