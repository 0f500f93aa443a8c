/**
 * @file One of the forms that values of a JSON schema can have: what all of the schema's parts ask for together.
 *
 * Choices (`anyOf`) are several shapes; parts that must all hold (`allOf`, a reference beside other keywords) meet in one.
 */
import { rounded } from "../../data/formats/long-integer.ts";
import { type Bounds, NO_BOUNDS, meetBounds } from "./number-range.ts";

export const JSON_TYPES = ["null", "boolean", "integer", "number", "string", "array", "object"] as const;
export type JsonType = (typeof JSON_TYPES)[number];

/** A schema, and its path in the whole. */
export interface Source {
  readonly schema: unknown;
  readonly path: string;
}

/** Schemas that must all hold; none: anything does. */
export type View = readonly Source[];

export interface Shape {
  /** "number" includes "integer". */
  readonly types: ReadonlySet<JsonType>;
  /** Values of which it is one. */
  readonly literals: readonly unknown[] | null;
  readonly bounds: Bounds;
  /** Numbers of which it is a multiple. */
  readonly multiples: readonly number[];
  readonly minLength: number;
  readonly maxLength: number;
  readonly patterns: readonly string[];
  /** Those of `STRING_FORMATS`. */
  readonly formats: readonly string[];
  /** What the first items are, one each. */
  readonly firstItems: readonly View[];
  /** What those behind them are. */
  readonly items: View;
  readonly minItems: number;
  readonly maxItems: number;
  readonly properties: ReadonlyMap<string, View>;
  readonly required: ReadonlySet<string>;
  /** Of properties without a name above; null: nothing is said of them. */
  readonly additional: View | null;
}

/** What anything is. */
export const ANYTHING: Shape = {
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
  properties: new Map(),
  required: new Set(),
  additional: null,
};

/** The types that are of both. */
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

/** What a shape says of a property. */
export function propertyOf({ properties, additional }: Shape, name: string): View {
  return properties.get(name) ?? additional ?? [];
}

export function isNever(view: View | null): boolean {
  return view?.some(({ schema }) => schema === false) ?? false;
}

/** Of two shapes, what satisfies both; null: nothing does. */
export function meet(a: Shape, b: Shape): Shape | null {
  const types = commonTypes(a.types, b.types);
  if (types.size === 0) return null;
  const names = new Set([...a.properties.keys(), ...b.properties.keys()]);
  const both = (of: (shape: Shape) => View): View => [...of(a), ...of(b)];
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
    properties: new Map([...names].map((name) => [name, both((shape) => propertyOf(shape, name))])),
    required: new Set([...a.required, ...b.required]),
    additional:
      a.additional === null && b.additional === null ? null : both(({ additional }) => additional ?? []),
  };
}

function commonLiterals(a: Shape["literals"], b: Shape["literals"]): Shape["literals"] {
  if (a === null || b === null) return a ?? b;
  const texts = new Set(b.map((value) => JSON.stringify(value)));
  return a.filter((value) => texts.has(JSON.stringify(value)));
}
