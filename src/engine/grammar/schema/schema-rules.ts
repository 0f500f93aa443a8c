/**
 * @file Turns the shapes of JSON schemas into rules over bytes. There is one rule for each set of schemas that apply at the same
 * place.
 */
import { rounded } from "../../../data/formats/long-integer.ts";
import type { Place, RuleBook } from "../rules/automaton.ts";
import { common } from "../rules/common-rules.ts";
import { JsonRules, MAX_DIGITS, count, either } from "../rules/json-rules.ts";
import { type Step, addMultiple, commonStep, isMultiple } from "../rules/number-multiple.ts";
import {
  FRACTION_DIGITS,
  NO_BOUNDS,
  type NumberType,
  addNumber,
  areAllTooLong,
  isWithin,
} from "../rules/number-range.ts";
import { addMembers } from "./members.ts";
import { STRING_FORMATS } from "./string-formats.ts";
import { PatternFault } from "../rules/pattern-rules.ts";
import { SchemaError } from "./schema-keywords.ts";
import { SchemaReader } from "./schema-reader.ts";
import {
  type JsonType,
  type ObjectShape,
  type ValueShape,
  type View,
  hasType,
  objectOf,
  typeOf,
} from "./shape.ts";
import { type TextForm, canHave, jsonText } from "./text-form.ts";
import { MAX_UNIQUE, addUnique } from "./unique-items.ts";

/** Most characters and items that are written, where a bound is larger. */
const [MOST_CHARACTERS, MOST_ITEMS] = [16_384, 4096];
/** Most characters of strings with patterns, which are counted in each of the pattern's places. */
const MOST_BY_PATTERN = 256;
/** The most characters that are counted where the mark behind a string is looked for in all of it. */
const MOST_RAW = 1000;

/**
 * Adds the rule of JSON that satisfies a schema; `name` distinguishes it from others of the same book.
 * @throws SchemaError, UsageError "usage/grammar" for one that is too large
 */
export function schemaRule(book: RuleBook, schema: unknown, name = ""): Place {
  return new SchemaRules(book, schema, name).whole();
}

/** How values are written: by JSON's rules, and texts by others. */
interface ValueForm {
  readonly json: JsonRules;
  readonly text: TextForm;
}

/** Rules of what satisfies a schema, and its parts: JSON, but for strings, and for what forms that extend it write otherwise. */
export class SchemaRules {
  protected readonly book: RuleBook;
  readonly #json: JsonRules;
  readonly #reader: SchemaReader;
  readonly #name: string;
  readonly #root: View;
  readonly #text: TextForm;

  /** `name` tells rules from others of the same book. @throws SchemaError for a schema that is too large */
  constructor(
    book: RuleBook,
    schema: unknown,
    name: string,
    { json = new JsonRules(book), text = jsonText(json) }: Partial<ValueForm> = {},
  ) {
    this.book = book;
    this.#name = name;
    this.#json = json;
    this.#reader = new SchemaReader(schema);
    this.#root = [{ schema, path: "" }];
    this.#text = text;
  }

  /** The rule of what satisfies the whole schema. @throws as all others SchemaError for what cannot be held */
  whole(): Place {
    return this.value(this.#root);
  }

  /** The objects that satisfy the whole schema. */
  wholeObjects(): readonly ObjectShape[] {
    return this.shapesOf(this.#root).flatMap((shape) => {
      if (shape.literals) throw this.fault(this.#root, "lists whole objects", "Give it properties.");
      return shape.types.has("object") ? (objectOf(shape) ?? []) : [];
    });
  }

  shapesOf(view: View): readonly ValueShape[] {
    return this.#reader.shapesOf(view);
  }

  /** The rule of a value that satisfies a view. */
  value(view: View): Place {
    const paths = [...new Set(view.map(({ path }) => path))].sort();
    return this.book.rule(`value ${this.#name} ${this.#text.name} ${JSON.stringify(paths)}`, (start) =>
      either(
        this.book,
        start,
        this.shapesOf(view).map((shape) => (from) => this.#shape(from, shape, view)),
      ),
    );
  }

  #shape(from: Place, shape: ValueShape, view: View): Place {
    const ways = shape.literals
      ? this.#literals(shape, view).map((value) => (at: Place) => this.literal(at, value, view))
      : [...shape.types].map((type) => (at: Place) => this.#type(at, type, shape, view));
    return either(this.book, from, ways);
  }

  /** The values of which it is one. */
  #literals(shape: ValueShape, view: View): unknown[] {
    return (shape.literals ?? []).filter((value) => hasType(value, shape) && this.#holds(value, shape, view));
  }

  /** Adds one value. */
  protected literal(from: Place, value: unknown, view: View): Place {
    if (typeof value !== "string") return this.book.text(from, JSON.stringify(value));
    const { mark } = this.#text;
    if (mark === null || !value.includes(mark)) return this.#text.literal(from, value);
    throw this.fault(view, `lists a string with "${mark}", which ends strings here`, "Leave it out.");
  }

  #type(from: Place, type: JsonType, shape: ValueShape, view: View): Place {
    switch (type) {
      case "null":
        return this.book.text(from, "null");
      case "boolean":
        return either(this.book, from, [
          (at) => this.book.text(at, "true"),
          (at) => this.book.text(at, "false"),
        ]);
      case "integer":
      case "number":
        if (shape.multiples.length > 0) {
          return addMultiple(this.#json, from, shape.bounds, this.#step(shape, view, type));
        }
        if (shape.bounds !== NO_BOUNDS && isBound(shape)) {
          if (areAllTooLong(shape.bounds, type)) throw tooLong(view);
          return addNumber(this.#json, from, shape.bounds, type);
        }
        return type === "integer" ? this.#json.integer(from) : this.#json.number(from);
      case "string":
        return this.#string(from, shape, view);
      case "array":
        return this.array(from, shape, view);
      case "object":
      default:
        return this.object(from, shape, view);
    }
  }

  /** Whether a literal satisfies the other keywords beside it. */
  #holds(value: unknown, shape: ValueShape, view: View): boolean {
    const number = rounded(value);
    if (typeof number === "number") {
      const isStep = shape.multiples.length === 0 || isMultiple(number, this.#step(shape, view, "number"));
      return isStep && isWithin(number, shape.bounds);
    }
    if (typeof value === "string") {
      const { length } = Array.from(value);
      if (shape.patterns.length > 0) throw this.fault(view, "has literals and a pattern");
      return length >= shape.minLength && length <= shape.maxLength;
    }
    const hasItems =
      shape.firstItems.length + shape.items.length + shape.minItems > 0 ||
      shape.maxItems < Infinity ||
      shape.unique !== null;
    const hasProperties = shape.members.length + shape.required.size > 0;
    const type = typeOf(value);
    if ((type === "array" && hasItems) || (type === "object" && hasProperties)) {
      throw this.fault(view, "has literals, and keywords for their contents");
    }
    return true;
  }

  #step({ multiples }: ValueShape, view: View, type: NumberType): Step {
    const step = commonStep(multiples, type);
    if (step) return step;
    const path = `${view.at(-1)?.path ?? ""}/multipleOf`;
    throw new SchemaError(
      path,
      `is ${multiples.join(" and ")}`,
      "Use a step of at most 1000, or with fewer digits.",
    );
  }

  #string(from: Place, shape: ValueShape, view: View): Place {
    const { patterns, formats, minLength, maxLength } = shape;
    if (maxLength < minLength) return this.book.place();
    const { name, mark } = this.#text;
    const hasLength = minLength > 0 || maxLength < Infinity;
    if (mark !== null && hasLength) this.#requireCountable(shape, view);
    const limit = patterns.length > 0 ? MOST_BY_PATTERN : MOST_CHARACTERS;
    const most = maxLength === Infinity ? null : Math.min(maxLength, Math.max(minLength, limit));
    // A format is ignored where a pattern or a length restricts the text.
    const isFree = patterns.length === 0 && !hasLength;
    const sources = isFree ? formats.map((format) => STRING_FORMATS[format]!) : patterns;
    return this.#withPatterns(view, () => {
      const parts = sources.map((source) => (at: Place) => this.#text.pattern(at, source));
      const mayHaveMark = mark !== null && sources.every((source) => canHave(source, mark.charAt(0)));
      if (hasLength || parts.length === 0 || mayHaveMark)
        parts.push((at) => this.#text.counted(at, { least: minLength, most }));
      return common(this.book, from, `${name} ${JSON.stringify(sources)} ${minLength} ${most}`, parts);
    });
  }

  /** @throws SchemaError for bounds that are too large for texts that are followed up to a mark */
  #requireCountable({ minLength, maxLength, patterns }: ValueShape, view: View): void {
    // With a pattern, texts are shorter than the schema allows.
    const most = patterns.length === 0 && maxLength < Infinity ? maxLength : minLength;
    if (most <= MOST_RAW) return;
    throw this.fault(
      view,
      `bounds a string to ${most} characters, of which more than ${MOST_RAW} cannot be counted in strings without quotation marks`,
      `Leave out minLength and maxLength, or give at most ${MOST_RAW}.`,
    );
  }

  /** Does some work; a pattern that cannot be held is told with its place. @throws SchemaError */
  #withPatterns<T>(view: View, work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof PatternFault)) throw error;
      throw this.fault(view, `has a pattern with ${error.message}`, "Use a different pattern.");
    }
  }

  protected object(from: Place, shape: ValueShape, _view: View): Place {
    return addMembers(this.#json, from, shape, (properties) => this.value(properties));
  }

  protected array(
    from: Place,
    { firstItems, items, minItems, maxItems, unique }: ValueShape,
    _view: View,
  ): Place {
    const { book } = this;
    if (maxItems < minItems) return book.place();
    if (unique !== null && maxItems > 1) {
      const texts = [...firstItems, items].map((view) => this.#textsOf(view, unique));
      if (new Set(texts.flat()).size > MAX_UNIQUE) throw tooManyUnique(unique);
      const textsAt = (index: number): readonly string[] => texts[index] ?? texts.at(-1)!;
      const times = { least: minItems, most: maxItems };
      return this.#json.inside(from, "[]", (inside) => addUnique(this.#json, inside, textsAt, times));
    }
    const item = this.value(items);
    const most = maxItems === Infinity ? null : Math.min(maxItems, Math.max(minItems, MOST_ITEMS));
    const first = (firstItems.length > 0 ? firstItems : [items]).slice(0, most ?? Infinity);
    return this.#json.inside(from, "[]", (inside) => {
      const end = book.place();
      if (minItems === 0) book.skip(inside, end);
      let at = inside;
      for (const [i, view] of first.entries()) {
        at = book.call(i === 0 ? at : this.#json.comma(at), this.value(view));
        if (i + 1 >= minItems) book.skip(at, end);
      }
      if (most === first.length) return end;
      const another = book.rule(`another ${item}`, (start) => book.call(this.#json.comma(start), item));
      const more = {
        least: Math.max(0, minItems - first.length),
        most: most === null ? null : most - first.length,
      };
      book.skip(
        count(book, at, more, (place) => book.call(place, another)),
        end,
      );
      return end;
    });
  }

  /** JSON of all values of an item, if they are few. @throws SchemaError naming the keyword that needs them */
  #textsOf(view: View, unique: string): string[] {
    const texts = this.#reader.shapesOf(view).flatMap((shape) => {
      if (shape.literals) return this.#literals(shape, view).map((value) => JSON.stringify(value));
      return [...shape.types].flatMap((type) => {
        if (type === "null") return ["null"];
        if (type === "boolean") return ["true", "false"];
        throw tooManyUnique(unique);
      });
    });
    // Two equal objects may be written in two ways.
    if (texts.some((text) => /^[{[]/.test(text))) throw tooManyUnique(unique);
    return [...new Set(texts)];
  }

  protected fault(view: View, found: string, hint = "Use only one of these keywords."): SchemaError {
    return new SchemaError(view.at(-1)?.path ?? "", found, hint);
  }
}

function tooLong(view: View): SchemaError {
  return new SchemaError(
    view.at(-1)?.path ?? "",
    `has bounds between which all numbers have more than ${MAX_DIGITS} digits, or ${FRACTION_DIGITS} after the decimal point`,
    "Choose bounds closer to 0, or further apart.",
  );
}

function tooManyUnique(path: string): SchemaError {
  return new SchemaError(
    path,
    `is of items that are not out of at most ${MAX_UNIQUE} strings, numbers, booleans and null`,
    "Give items an enum of at most that many, or leave out uniqueItems.",
  );
}

function isBound({ bounds }: ValueShape): boolean {
  return Object.values(bounds).some((bound) => Number.isFinite(bound));
}
