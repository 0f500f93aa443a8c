/**
 * @file Reads JSON schemas as shapes. A keyword that is not held is refused with its path, so that whatever is written by a
 * schema satisfies it.
 */
import { rounded } from "../../data/formats/long-integer.ts";
import { UsageError } from "../../errors.ts";
import { NO_BOUNDS } from "./number-range.ts";
import { areDisjoint } from "./disjoint.ts";
import { PatternFault, patternMatcher } from "./pattern-rules.ts";
import { STRING_FORMATS } from "./string-formats.ts";
import {
  ANYTHING,
  JSON_TYPES,
  type JsonType,
  type Members,
  type PatternMember,
  type Shape,
  type Source,
  type View,
  meet,
  typeOf,
} from "./shape.ts";

const [MAX_TEXT, MAX_DEPTH, MAX_SHAPES, MAX_NAME_PATTERNS] = [1 << 16, 64, 256, 16];
/** Keywords that say nothing of what a value is. */
const NOTES = new Set(
  (
    "$schema $id $comment title description default examples deprecated readOnly writeOnly $defs definitions " +
    "contentEncoding contentMediaType contentSchema"
  ).split(" "),
);
/** Read by `#ownShape`, or here. */
const READ = new Set(
  (
    "type enum const properties patternProperties required additionalProperties propertyNames prefixItems items additionalItems minItems " +
    "maxItems uniqueItems minLength maxLength pattern format minimum maximum exclusiveMinimum exclusiveMaximum multipleOf anyOf oneOf " +
    "allOf $ref"
  ).split(" "),
);

/** A schema that cannot be held; `path` is a JSON pointer to where. */
export class SchemaError extends UsageError {
  readonly path: string;

  constructor(path: string, found: string, hint: string) {
    super("usage/grammar", `Cannot hold a text to the JSON schema: ${path === "" ? "/" : path} ${found}`, {
      hint,
    });
    this.path = path;
  }
}

type Fields = Readonly<Record<string, unknown>>;

export class SchemaReader {
  readonly #root: unknown;
  /** By the path of a schema. */
  readonly #known = new Map<string, readonly Shape[]>();
  /** By pattern of names. */
  readonly #matchers = new Map<string, PatternMember["hasMatch"]>();

  /** @throws SchemaError for a schema that is too large */
  constructor(root: unknown) {
    this.#root = root;
    requireSmall(root);
  }

  /** All shapes of what satisfies some schemas. @throws SchemaError */
  shapesOf(view: View): readonly Shape[] {
    return this.#shapesOf(view, new Set());
  }

  #shapesOf(view: View, inside: ReadonlySet<string>): readonly Shape[] {
    let shapes: readonly Shape[] = [ANYTHING];
    for (const source of view) shapes = meetAll(shapes, this.#shapesOfOne(source, inside), source.path);
    return shapes;
  }

  #shapesOfOne(source: Source, inside: ReadonlySet<string>): readonly Shape[] {
    const { schema, path } = source;
    if (schema === true) return [ANYTHING];
    if (schema === false) return [];
    const known = this.#known.get(path);
    if (known) return known;
    if (inside.has(path))
      throw fault(path, "refers to itself without anything in between", "Give it a type.");
    const within = new Set([...inside, path]);
    const fields = requireFields(schema, path);
    for (const key of Object.keys(fields)) {
      if (READ.has(key) || NOTES.has(key) || isSilent(key, fields[key])) continue;
      throw fault(`${path}/${key}`, "is a keyword that is not supported", `Leave out ${key}.`);
    }
    let shapes: readonly Shape[] = [this.#ownShape(fields, path, within)];
    const add = (more: readonly Shape[]): void => void (shapes = meetAll(shapes, more, path));
    if (fields["$ref"] !== undefined) add(this.#shapesOfOne(this.#resolve(fields["$ref"], path), within));
    for (const part of partsOf(fields, "allOf", path)) add(this.#shapesOfOne(part, within));
    if (fields["anyOf"] !== undefined) {
      add(partsOf(fields, "anyOf", path).flatMap((part) => this.#shapesOfOne(part, within)));
    }
    if (fields["oneOf"] !== undefined) add(this.#oneOf(partsOf(fields, "oneOf", path), within));
    this.#known.set(path, shapes);
    return shapes;
  }

  /** Exactly one holds where no value satisfies two. */
  #oneOf(parts: readonly Source[], inside: ReadonlySet<string>): readonly Shape[] {
    const shapes = parts.map((part) => this.#shapesOfOne(part, inside));
    const shapesOf = (view: View): readonly Shape[] => this.shapesOf(view);
    for (const [i, own] of shapes.entries()) {
      for (const [j, other] of shapes.slice(0, i).entries()) {
        const areApart = own.every((a) => other.every((b) => areDisjoint(a, b, shapesOf)));
        if (areApart) continue;
        const { path } = parts[i] as Source;
        throw fault(
          path,
          `may hold together with number ${j} of oneOf`,
          "Take anyOf, or a const that tells them apart.",
        );
      }
    }
    return shapes.flat();
  }

  /** The names that properties may have; null: all. */
  #namesOf(source: Source, inside: ReadonlySet<string>): readonly string[] | null {
    const shapes = this.#shapesOfOne(source, inside).filter(({ types }) => types.has("string"));
    if (shapes.some(({ literals, ...rest }) => literals === null && saysNothing(rest))) return null;
    const names = shapes.map(({ literals, ...rest }) => (saysNothing(rest) ? literals : null));
    if (names.includes(null)) {
      throw fault(
        source.path,
        "says more of names than which there are",
        "Give an enum of them, or leave it out.",
      );
    }
    return names.flatMap((some) => (some ?? []).filter((name) => typeof name === "string"));
  }

  #resolve(ref: unknown, path: string): Source {
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
    throw fault(
      `${path}/$ref`,
      `is ${JSON.stringify(ref)}`,
      'Refer to a part of the schema, such as "#/$defs/name".',
    );
  }

  /** What the keywords of a schema say, but for its choices and references. */
  #ownShape(fields: Fields, path: string, inside: ReadonlySet<string>): Shape {
    const count = (key: string, otherwise: number): number => {
      const value = rounded(fields[key]);
      if (value === undefined) return otherwise;
      if (Number.isInteger(value) && (value as number) >= 0) return value as number;
      throw fault(`${path}/${key}`, `is ${JSON.stringify(value)}`, "Give a whole number from 0.");
    };
    const under = (key: string): Source => ({ schema: fields[key], path: `${path}/${key}` });
    const names =
      fields["propertyNames"] === undefined ? null : this.#namesOf(under("propertyNames"), inside);
    const pattern = fields["pattern"];
    if (pattern !== undefined && typeof pattern !== "string") {
      throw fault(`${path}/pattern`, `is ${JSON.stringify(pattern)}`, "Give a regular expression.");
    }
    const format = fields["format"];
    if (format !== undefined && typeof format !== "string") {
      throw fault(`${path}/format`, `is ${JSON.stringify(format)}`, "Give the name of a format.");
    }
    // Before the draft of 2020 the keyword of the first items was that of all.
    const [first, rest] = Array.isArray(fields["items"])
      ? ["items", "additionalItems"]
      : ["prefixItems", "items"];
    const literals = literalsOf(fields, path);
    const types = typesOf(fields, path);
    return {
      types,
      literals,
      bounds: boundsOf(fields, path),
      multiples: multiplesOf(fields, path),
      minLength: count("minLength", 0),
      maxLength: count("maxLength", Infinity),
      patterns: pattern === undefined ? [] : [pattern],
      formats: format !== undefined && Object.hasOwn(STRING_FORMATS, format) ? [format] : [],
      firstItems: partsOf(fields, first, path).map((part) => [part]),
      items: fields[rest] === undefined ? [] : [under(rest)],
      minItems: count("minItems", 0),
      maxItems: count("maxItems", Infinity),
      unique: isUnique(fields, path) ? `${path}/uniqueItems` : null,
      members: [
        ...(names ? [onlyNames(names, `${path}/propertyNames`)] : []),
        ...this.#membersOf(fields, path),
      ],
      required: new Set(textsOf(fields["required"] ?? [], `${path}/required`)),
    };
  }

  /** What a schema says of properties by their names, if it does. */
  #membersOf(fields: Fields, path: string): readonly Members[] {
    const under = (key: string): [string, View][] =>
      Object.entries(requireFields(fields[key] ?? {}, `${path}/${key}`)).map(([name, schema]) => [
        name,
        [{ schema, path: `${path}/${key}/${encodeStep(name)}` }],
      ]);
    const properties = new Map(under("properties"));
    const patterns = under("patternProperties");
    const byPattern = patterns.map(([pattern, view]): PatternMember => ({
      pattern,
      view,
      hasMatch: this.#matcherOf(pattern, `${path}/patternProperties/${encodeStep(pattern)}`),
    }));
    const schema = fields["additionalProperties"];
    const additional = schema === undefined ? null : [{ schema, path: `${path}/additionalProperties` }];
    const saysNothing = properties.size === 0 && byPattern.length === 0 && additional === null;
    return saysNothing ? [] : [{ properties, byPattern, additional }];
  }

  #matcherOf(pattern: string, path: string): PatternMember["hasMatch"] {
    const known = this.#matchers.get(pattern);
    if (known) return known;
    if (this.#matchers.size === MAX_NAME_PATTERNS) {
      throw fault(path, `is one of more than ${MAX_NAME_PATTERNS} patterns of names`, "Use fewer.");
    }
    try {
      const matcher = patternMatcher(pattern);
      this.#matchers.set(pattern, matcher);
      return matcher;
    } catch (error) {
      if (!(error instanceof PatternFault)) throw error;
      throw fault(path, `is a pattern with ${error.message}`, "Say it with another pattern.");
    }
  }
}

function fault(path: string, found: string, hint: string): SchemaError {
  return new SchemaError(path, found, hint);
}

/** Whether all strings have a shape, but for its literals. */
function saysNothing({ minLength, maxLength, patterns }: Omit<Shape, "literals">): boolean {
  return minLength === 0 && maxLength === Infinity && patterns.length === 0;
}

/** Keywords that say nothing with some values. */
function isSilent(key: string, value: unknown): boolean {
  return key === "minProperties" && value === 0;
}

function isUnique({ uniqueItems = false }: Fields, path: string): boolean {
  if (typeof uniqueItems === "boolean") return uniqueItems;
  throw fault(`${path}/uniqueItems`, `is ${JSON.stringify(uniqueItems)}`, "Give true or false.");
}

/** Properties of some names, whatever they are, and no others. */
function onlyNames(names: readonly string[], path: string): Members {
  const properties = new Map(names.map((name): [string, View] => [name, []]));
  return { properties, byPattern: [], additional: [{ schema: false, path }] };
}

function requireFields(value: unknown, path: string): Fields {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Fields;
  throw fault(path, `is ${JSON.stringify(value)?.slice(0, 40)}`, "Give an object.");
}

function textsOf(value: unknown, path: string): string[] {
  if (Array.isArray(value) && value.every((each) => typeof each === "string")) return value;
  throw fault(path, `is ${JSON.stringify(value)?.slice(0, 40)}`, "Give a list of strings.");
}

function partsOf(fields: Fields, key: string, path: string): Source[] {
  const parts = fields[key] ?? [];
  if (!Array.isArray(parts) || (fields[key] !== undefined && parts.length === 0)) {
    throw fault(`${path}/${key}`, "is not a list of schemas", "Give at least one.");
  }
  return parts.map((schema: unknown, i) => ({ schema, path: `${path}/${key}/${i}` }));
}

function typesOf(fields: Fields, path: string): ReadonlySet<JsonType> {
  const type = fields["type"];
  if (type === undefined) return ANYTHING.types;
  const types = textsOf(typeof type === "string" ? [type] : type, `${path}/type`);
  const unknown = types.find((each) => !(JSON_TYPES as readonly string[]).includes(each));
  if (unknown === undefined) return new Set(types as JsonType[]);
  throw fault(`${path}/type`, `is ${JSON.stringify(unknown)}`, `Choose of ${JSON_TYPES.join(", ")}.`);
}

function literalsOf(fields: Fields, path: string): readonly unknown[] | null {
  const { enum: values, const: value } = fields;
  if (values !== undefined && !Array.isArray(values))
    throw fault(`${path}/enum`, "is no list", "Give a list of values.");
  if (value === undefined) return values === undefined ? null : (values as unknown[]);
  const text = JSON.stringify(value);
  const isListed = values === undefined || values.some((each) => JSON.stringify(each) === text);
  return isListed ? [value] : [];
}

function multiplesOf(fields: Fields, path: string): number[] {
  const step = rounded(fields["multipleOf"]);
  if (step === undefined) return [];
  if (typeof step === "number" && step > 0 && Number.isFinite(step)) return [step];
  throw fault(`${path}/multipleOf`, `is ${JSON.stringify(step)}`, "Give a number above 0.");
}

function boundsOf(fields: Fields, path: string): Shape["bounds"] {
  const bound = (key: string): number | null => {
    const value = rounded(fields[key]);
    if (value === undefined) return null;
    if (typeof value === "number" && Number.isFinite(value)) return value;
    throw fault(`${path}/${key}`, `is ${JSON.stringify(value)}`, "Give a number.");
  };
  if (Object.keys(fields).every((key) => !/imum$/i.test(key))) return NO_BOUNDS;
  return {
    low: bound("minimum") ?? NO_BOUNDS.low,
    above: bound("exclusiveMinimum") ?? NO_BOUNDS.above,
    high: bound("maximum") ?? NO_BOUNDS.high,
    below: bound("exclusiveMaximum") ?? NO_BOUNDS.below,
  };
}

/** What satisfies one of each. */
function meetAll(a: readonly Shape[], b: readonly Shape[], path: string): readonly Shape[] {
  const shapes = a.flatMap((one) => b.flatMap((other) => meet(one, other) ?? []));
  if (shapes.length <= MAX_SHAPES) return shapes;
  throw fault(path, `allows more than ${MAX_SHAPES} combinations`, "Use fewer choices in one place.");
}

function encodeStep(name: string): string {
  return name.replaceAll("~", "~0").replaceAll("/", "~1");
}

function decodeStep(step: string): string {
  let text = step;
  try {
    text = decodeURIComponent(step);
  } catch {
    // A sign of percent that encodes nothing.
  }
  return text.replaceAll("~1", "/").replaceAll("~0", "~");
}

/** Holds a schema against limits before anything calls itself for its levels. @throws SchemaError */
function requireSmall(root: unknown): void {
  let level: unknown[] = [root];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_DEPTH)
      throw fault("", `has more than ${MAX_DEPTH} levels`, "Make it flatter, with $defs.");
    level = level.flatMap((value) =>
      typeof value === "object" && value !== null ? Object.values(value) : [],
    );
  }
  const { length } = JSON.stringify(root) ?? "";
  if (length > MAX_TEXT) throw fault("", `has ${length} characters`, `Keep it below ${MAX_TEXT}.`);
}

/** Whether a literal has one of the types of a shape. */
export function hasType(value: unknown, { types }: Shape): boolean {
  const type = typeOf(value);
  return types.has(type) || (type === "integer" && types.has("number"));
}
