/**
 * @file Reads JSON schemas as shapes. An unsupported keyword is refused with its path, so that all that is written by a schema
 * satisfies it.
 */
import { rounded } from "../../../data/formats/long-integer.ts";
import { areDisjoint } from "./disjoint.ts";
import { decodeStep, encodeStep } from "./json-pointer.ts";
import { MemberReader, onlyNames } from "./member-reader.ts";
import { STRING_FORMATS, patternBeside } from "./string-formats.ts";
import {
  type Fields,
  SchemaError,
  boundsOf,
  countOf,
  isUnique,
  literalsOf,
  multiplesOf,
  partsOf,
  requireFields,
  textOf,
  textsOf,
  typesOf,
} from "./schema-keywords.ts";
import { ANYTHING, type ValueShape, type LocatedSchema, type View, meet } from "./shape.ts";

const [MAX_TEXT, MAX_DEPTH, MAX_SHAPES] = [1 << 16, 64, 256];
/** Keywords that do not restrict a value. */
const NOTES = new Set(
  (
    "$schema $id $comment title description default examples example deprecated readOnly writeOnly $defs definitions " +
    "contentEncoding contentMediaType contentSchema discriminator"
  ).split(" "),
);
/** Keywords that are read by `#ownShape`, or in this file. */
const READ = new Set(
  (
    "type enum const properties patternProperties required additionalProperties propertyNames prefixItems items additionalItems minItems " +
    "maxItems uniqueItems minLength maxLength pattern format minimum maximum exclusiveMinimum exclusiveMaximum multipleOf anyOf oneOf " +
    "allOf $ref"
  ).split(" "),
);

export class SchemaReader {
  readonly #root: unknown;
  /** Shapes by the path of their schema. */
  readonly #known = new Map<string, readonly ValueShape[]>();
  readonly #members = new MemberReader();
  readonly #isLenient: boolean;

  /**
   * `isLenient`: passes over what cannot be held, so that shapes have more values than the schema; for those who read values and
   * hold nobody to them.
   * @throws SchemaError for a schema that is too large, or has a number that is
   */
  constructor(root: unknown, { isLenient = false } = {}) {
    this.#root = root;
    this.#isLenient = isLenient;
    requireReadable(root);
  }

  /** All shapes of values that satisfy all of some schemas. @throws SchemaError */
  shapesOf(view: View): readonly ValueShape[] {
    return this.#shapesOf(view, new Set());
  }

  #shapesOf(view: View, inside: ReadonlySet<string>): readonly ValueShape[] {
    let shapes: readonly ValueShape[] = [ANYTHING];
    for (const source of view) shapes = meetAll(shapes, this.#shapesOfOne(source, inside), source.path);
    return shapes;
  }

  #shapesOfOne(source: LocatedSchema, inside: ReadonlySet<string>): readonly ValueShape[] {
    const { schema, path } = source;
    if (schema === true) return [ANYTHING];
    if (schema === false) return [];
    const known = this.#known.get(path);
    if (known) return known;
    if (inside.has(path))
      throw new SchemaError(path, "refers to itself without anything in between", "Give it a type.");
    const within = new Set([...inside, path]);
    const fields = requireFields(schema, path);
    for (const key of Object.keys(fields)) {
      if (this.#isLenient || READ.has(key) || NOTES.has(key) || isSilent(key, fields[key])) continue;
      throw new SchemaError(`${path}/${key}`, "is a keyword that is not supported", `Leave out ${key}.`);
    }
    let shapes: readonly ValueShape[] = [this.#ownShape(fields, path, within)];
    const add = (more: readonly ValueShape[]): void => void (shapes = meetAll(shapes, more, path));
    if (fields["$ref"] !== undefined) add(this.#shapesOfOne(this.#resolve(fields["$ref"], path), within));
    for (const part of partsOf(fields, "allOf", path)) add(this.#shapesOfOne(part, within));
    if (fields["anyOf"] !== undefined) {
      add(partsOf(fields, "anyOf", path).flatMap((part) => this.#shapesOfOne(part, within)));
    }
    if (fields["oneOf"] !== undefined) add(this.#oneOf(partsOf(fields, "oneOf", path), within));
    this.#known.set(path, shapes);
    return shapes;
  }

  /** Supported only where no value satisfies two of the parts, so that exactly one holds. */
  #oneOf(parts: readonly LocatedSchema[], inside: ReadonlySet<string>): readonly ValueShape[] {
    const shapes = parts.map((part) => this.#shapesOfOne(part, inside));
    const shapesOf = (view: View): readonly ValueShape[] => this.shapesOf(view);
    for (const [i, own] of shapes.entries()) {
      for (const [j, other] of shapes.slice(0, i).entries()) {
        const areApart = this.#isLenient || own.every((a) => other.every((b) => areDisjoint(a, b, shapesOf)));
        if (areApart) continue;
        const { path } = parts[i]!;
        throw new SchemaError(
          path,
          `can match together with number ${j} of oneOf`,
          "Use anyOf, or a const that tells them apart.",
        );
      }
    }
    return shapes.flat();
  }

  /** The names that properties may have; null: all. */
  #namesOf(source: LocatedSchema, inside: ReadonlySet<string>): readonly string[] | null {
    const shapes = this.#shapesOfOne(source, inside).filter(({ types }) => types.has("string"));
    if (shapes.some(({ literals, ...rest }) => literals === null && saysNothing(rest))) return null;
    const names = shapes.map(({ literals, ...rest }) => (saysNothing(rest) ? literals : null));
    if (names.includes(null)) {
      throw new SchemaError(
        source.path,
        "restricts names by more than an enum",
        "Give an enum of the names, or leave it out.",
      );
    }
    return names.flatMap((some) => (some ?? []).filter((name) => typeof name === "string"));
  }

  #resolve(ref: unknown, path: string): LocatedSchema {
    const pointer = typeof ref === "string" && ref.startsWith("#") ? ref.slice(1) : null;
    let schema = this.#root;
    for (const step of pointer?.split("/").slice(1) ?? []) {
      const key = decodeStep(step);
      const isThere = typeof schema === "object" && schema !== null && Object.hasOwn(schema, key);
      schema = isThere ? (schema as Fields)[key] : undefined;
    }
    if (pointer !== null && (pointer === "" || pointer.startsWith("/")) && schema !== undefined) {
      return { schema, path: pointer };
    }
    throw new SchemaError(
      `${path}/$ref`,
      `is ${JSON.stringify(ref)}`,
      'Refer to a part of the schema, such as "#/$defs/name".',
    );
  }

  /** What the keywords of a schema require, without its choices and references. */
  #ownShape(fields: Fields, path: string, inside: ReadonlySet<string>): ValueShape {
    const count = (key: string, otherwise: number): number => countOf(fields, key, path) ?? otherwise;
    const under = (key: string): LocatedSchema => ({ schema: fields[key], path: `${path}/${key}` });
    const names =
      fields["propertyNames"] === undefined ? null : this.#namesOf(under("propertyNames"), inside);
    const pattern = textOf(fields, "pattern", path, "Give a regular expression.");
    const format = textOf(fields, "format", path, "Give the name of a format.");
    // Before draft 2020-12, `items` could be the list of the first items.
    const [first, rest] = Array.isArray(fields["items"])
      ? ["items", "additionalItems"]
      : ["prefixItems", "items"];
    return {
      literals: literalsOf(fields, path),
      types: typesOf(fields, path),
      bounds: boundsOf(fields, path),
      multiples: multiplesOf(fields, path),
      minLength: count("minLength", 0),
      maxLength: count("maxLength", Infinity),
      patterns: pattern === undefined ? [] : [patternBeside(pattern, format)],
      formats: format !== undefined && Object.hasOwn(STRING_FORMATS, format) ? [format] : [],
      firstItems: partsOf(fields, first, path).map((part) => [part]),
      items: fields[rest] === undefined ? [] : [under(rest)],
      minItems: count("minItems", 0),
      maxItems: count("maxItems", Infinity),
      unique: isUnique(fields, path) ? `${path}/uniqueItems` : null,
      members: [
        ...(names ? [onlyNames(names, `${path}/propertyNames`)] : []),
        ...this.#members.membersOf(fields, path),
      ],
      required: new Set(textsOf(fields["required"] ?? [], `${path}/required`)),
    };
  }
}

/** Whether a shape, apart from its literals, allows all strings. */
function saysNothing({ minLength, maxLength, patterns }: Omit<ValueShape, "literals">): boolean {
  return minLength === 0 && maxLength === Infinity && patterns.length === 0;
}

/** Keywords that restrict nothing with some values, and extensions. */
function isSilent(key: string, value: unknown): boolean {
  return (key === "minProperties" && value === 0) || key.startsWith("x-");
}

/** The shapes of values that satisfy one shape of each list. */
function meetAll(a: readonly ValueShape[], b: readonly ValueShape[], path: string): readonly ValueShape[] {
  const shapes = a.flatMap((one) => b.flatMap((other) => meet(one, other) ?? []));
  if (shapes.length <= MAX_SHAPES) return shapes;
  throw new SchemaError(
    path,
    `allows more than ${MAX_SHAPES} combinations`,
    "Use fewer choices in one place.",
  );
}

/** Checks a schema against limits before anything recurses through its levels. @throws SchemaError */
function requireReadable(root: unknown): void {
  let level: readonly LocatedSchema[] = [{ schema: root, path: "" }];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_DEPTH)
      throw new SchemaError("", `has more than ${MAX_DEPTH} levels`, "Make it flatter, with $defs.");
    level = level.flatMap(partsIn);
  }
  const { length } = JSON.stringify(root) ?? "";
  if (length > MAX_TEXT) throw new SchemaError("", `has ${length} characters`, `Keep it below ${MAX_TEXT}.`);
}

/** The values inside a value of a schema. @throws SchemaError for a number that JavaScript reads as infinite */
function partsIn({ schema, path }: LocatedSchema): LocatedSchema[] {
  const value = rounded(schema);
  if (typeof value === "number" && !Number.isFinite(value))
    throw new SchemaError(path, `is a number beyond ${Number.MAX_VALUE}`, "Give one closer to 0.");
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).map(([key, part]) => ({ schema: part, path: `${path}/${encodeStep(key)}` }));
}
