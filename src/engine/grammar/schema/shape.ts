/**
 * @file One of the forms that values of a JSON schema can have: what all parts of the schema require together.
 *
 * Choices (`anyOf`) become several shapes; parts that must all hold (`allOf`, a reference beside other keywords) meet in one.
 */
import { rounded } from "../../../data/formats/long-integer.ts";
import { type Bounds, NO_BOUNDS, meetBounds } from "../rules/number-range.ts";

export const JSON_TYPES = ["null", "boolean", "integer", "number", "string", "array", "object"] as const;
export type JsonType = (typeof JSON_TYPES)[number];

/** A schema, and its path in the whole schema. */
export interface LocatedSchema {
  readonly schema: unknown;
  readonly path: string;
}

/** Schemas that must all hold; empty: anything does. */
export type View = readonly LocatedSchema[];

/** What one object of a schema says about properties by name. */
export interface Members {
  readonly properties: ReadonlyMap<string, View>;
  readonly byPattern: readonly PatternMember[];
  /** View of all other members; null: the schema does not restrict them. */
  readonly additional: View | null;
}

/** View of the properties whose names match a pattern. */
export interface PatternMember {
  readonly pattern: string;
  readonly view: View;
  hasMatch(name: string): boolean;
}

export interface ValueShape {
  /** "number" includes "integer". */
  readonly types: ReadonlySet<JsonType>;
  /** The allowed values; null: any. */
  readonly literals: readonly unknown[] | null;
  readonly bounds: Bounds;
  /** Numbers of which the value must be a multiple. */
  readonly multiples: readonly number[];
  readonly minLength: number;
  readonly maxLength: number;
  readonly patterns: readonly string[];
  /** Formats of strings, names in `STRING_FORMATS`. */
  readonly formats: readonly string[];
  /** Views of the first items, one for each. */
  readonly firstItems: readonly View[];
  /** View of the items after them. */
  readonly items: View;
  readonly minItems: number;
  readonly maxItems: number;
  /** Path of the keyword that requires all items to differ; null: items may be equal. */
  readonly unique: string | null;
  /** All of them hold. */
  readonly members: readonly Members[];
  readonly required: ReadonlySet<string>;
}

/** The shape of any value. */
export const ANYTHING: ValueShape = {
  types: new Set(JSON_TYPES.filter((type) => type !== "integer")),
  literals: null,
  bounds: NO_BOUNDS,
  multiples: [],
  minLength: 0,
  maxLength: Infinity,
  patterns: [],
  formats: [],
  firstItems: [],
  items: [],
  minItems: 0,
  maxItems: Infinity,
  unique: null,
  members: [],
  required: new Set(),
};

function commonTypes(a: ReadonlySet<JsonType>, b: ReadonlySet<JsonType>): Set<JsonType> {
  const both = new Set([...a].filter((type) => b.has(type)));
  const isWhole = (one: ReadonlySet<JsonType>, other: ReadonlySet<JsonType>): boolean =>
    one.has("integer") && other.has("number");
  if (!both.has("number") && (isWhole(a, b) || isWhole(b, a))) both.add("integer");
  return both;
}

/** The type of a value, as a schema names it. */
export function typeOf(value: unknown): JsonType {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  const number = rounded(value);
  if (typeof number === "number") return Number.isInteger(number) ? "integer" : "number";
  return typeof value as JsonType;
}

/** Whether a value has one of the types of a shape. */
export function hasType(value: unknown, { types }: ValueShape): boolean {
  const type = typeOf(value);
  return types.has(type) || (type === "integer" && types.has("number"));
}

/** Whether a value is one of some shapes, as far as types and literals tell. */
export function mayHave(value: unknown, shapes: readonly ValueShape[]): boolean {
  const text = JSON.stringify(value);
  const isListed = ({ literals }: ValueShape): boolean =>
    literals === null || literals.some((each) => JSON.stringify(each) === text);
  return shapes.some((shape) => hasType(value, shape) && isListed(shape));
}

/** Whether strings are all that has one of some shapes, of which there is one at least. */
export function areTexts(shapes: readonly ValueShape[]): boolean {
  const isText = (shape: ValueShape): boolean =>
    shape.literals?.every((value) => typeof value === "string" || !hasType(value, shape)) ??
    (shape.types.size === 1 && shape.types.has("string"));
  return shapes.length > 0 && shapes.every(isText);
}

/** What an object of a shape is made of. */
export interface ObjectShape {
  /** Those that it may have, in the order of the schema. */
  readonly properties: readonly (readonly [name: string, view: View])[];
  readonly required: ReadonlySet<string>;
}

/** The properties of a shape that it names; null: one that it asks for can have no value. */
export function objectOf(shape: ValueShape): ObjectShape | null {
  const properties = namesOf(shape).map((name) => [name, propertyOf(shape, name)] as const);
  const { required } = shape;
  if (properties.some(([name, view]) => required.has(name) && isNever(view))) return null;
  return { properties: properties.filter(([, view]) => !isNever(view)), required };
}

/** Names of properties that a schema lists or asks for. */
export function namesOf({ members, required }: ValueShape): string[] {
  return [...new Set([...members.flatMap(({ properties }) => [...properties.keys()]), ...required])];
}

/** What a shape says of a property. */
export function propertyOf({ members }: ValueShape, name: string): View {
  return members.flatMap((each) => viewIn(each, each.properties.get(name), (one) => one.hasMatch(name)));
}

/** What a shape requires of a property that it does not name, where the patterns `found` match its name; null: nothing. */
export function othersOf({ members }: ValueShape, found: ReadonlySet<string>): View | null {
  const isFound = ({ pattern }: PatternMember): boolean => found.has(pattern);
  const isSaid = members.some(({ additional, byPattern }) => additional !== null || byPattern.some(isFound));
  return isSaid ? members.flatMap((each) => viewIn(each, undefined, isFound)) : null;
}

function viewIn(
  { byPattern, additional }: Members,
  own: View | undefined,
  isFound: (member: PatternMember) => boolean,
): View {
  const found = byPattern.filter(isFound).flatMap(({ view }) => view);
  return own || byPattern.some(isFound) ? [...(own ?? []), ...found] : (additional ?? []);
}

/** Whether no value satisfies a view, because one of its schemas is `false`. */
export function isNever(view: View | null): boolean {
  return view?.some(({ schema }) => schema === false) ?? false;
}

/** The shape of values that satisfy both of two shapes; null: none does. */
export function meet(a: ValueShape, b: ValueShape): ValueShape | null {
  const types = commonTypes(a.types, b.types);
  if (types.size === 0) return null;
  const both = (of: (shape: ValueShape) => View): View => [...of(a), ...of(b)];
  return {
    types,
    literals: commonLiterals(a.literals, b.literals),
    bounds: meetBounds(a.bounds, b.bounds),
    multiples: [...new Set([...a.multiples, ...b.multiples])],
    minLength: Math.max(a.minLength, b.minLength),
    maxLength: Math.min(a.maxLength, b.maxLength),
    patterns: [...new Set([...a.patterns, ...b.patterns])],
    formats: [...new Set([...a.formats, ...b.formats])],
    firstItems: Array.from({ length: Math.max(a.firstItems.length, b.firstItems.length) }, (_, i) =>
      both(({ firstItems, items }) => firstItems[i] ?? items),
    ),
    items: both(({ items }) => items),
    minItems: Math.max(a.minItems, b.minItems),
    maxItems: Math.min(a.maxItems, b.maxItems),
    unique: a.unique ?? b.unique,
    members: [...new Set([...a.members, ...b.members])],
    required: new Set([...a.required, ...b.required]),
  };
}

function commonLiterals(a: ValueShape["literals"], b: ValueShape["literals"]): ValueShape["literals"] {
  if (a === null || b === null) return a ?? b;
  const texts = new Set(b.map((value) => JSON.stringify(value)));
  return a.filter((value) => texts.has(JSON.stringify(value)));
}
