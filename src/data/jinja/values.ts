/** @file Values of templates, with Python's types: integers are bigint, all other numbers floats. */
import { LongInteger, isWrittenNumber, rounded } from "../formats/long-integer.ts";

/** A missing value: written as an empty text, and without members. */
export class Undefined {
  /** Names the missing value in messages. */
  readonly what: string;

  constructor(what: string) {
    this.what = what;
  }
}

/** An immutable list, written with parentheses. */
export class Tuple extends Array<JinjaValue> {
  static override get [Symbol.species](): ArrayConstructor {
    return Array;
  }
}

/** The result of list filters, a generator in Python: truthy even if it is empty. */
export class Stream extends Array<JinjaValue> {
  static override get [Symbol.species](): ArrayConstructor {
    return Array;
  }
}

/** The result of `namespace()`, whose fields may be set; also `loop`. */
export class Namespace {
  readonly fields: Map<string, JinjaValue>;

  constructor(fields: Map<string, JinjaValue>) {
    this.fields = fields;
  }
}

export type Named = ReadonlyMap<string, JinjaValue>;

/** A function, method or macro. */
export type Callable = (args: readonly JinjaValue[], named: Named) => JinjaValue;

export type JinjaValue =
  | Undefined
  | null
  | boolean
  | bigint
  | number
  | string
  | JinjaValue[]
  | Map<JinjaValue, JinjaValue>
  | Namespace
  | Callable;

/** Converts JSON data to values; a number that is not a safe integer is a float. */
export function valueOf(data: unknown): JinjaValue {
  if (data === undefined || data === null) return null;
  if (typeof data === "number") return Number.isSafeInteger(data) ? BigInt(data) : data;
  if (typeof data !== "object") return data as JinjaValue;
  if (data instanceof LongInteger) return BigInt(data.text);
  if (isWrittenNumber(data)) return rounded(data) as number;
  if (Array.isArray(data)) return data.map(valueOf);
  return new Map(
    Object.entries(data).flatMap(([key, each]) => (each === undefined ? [] : [[key, valueOf(each)]])),
  );
}

/** Characters of a text as Python counts them: code points, not UTF-16 units. */
export function charactersOf(text: string): string[] {
  return Array.from(text);
}

/** Requires a name, as for keys of named arguments. @throws Error for another value */
export function nameOf(value: JinjaValue | undefined): string {
  if (typeof value === "string") return value;
  throw new Error(`${value === undefined ? "nothing" : kindOf(value)} is where a name should be`);
}

/** Python's word for the kind of a value. */
export function kindOf(value: JinjaValue): string {
  if (value === null) return "None";
  if (typeof value === "object") {
    if (value instanceof Undefined) return value.what;
    if (value instanceof Map) return "dict";
    return value instanceof Tuple ? "tuple" : Array.isArray(value) ? "list" : "namespace";
  }
  const kinds = { boolean: "bool", bigint: "int", number: "float", string: "str", function: "function" };
  return kinds[typeof value as keyof typeof kinds];
}

/** Whether a value is truthy in Python: not undefined, empty or zero. */
export function isTrue(value: JinjaValue): boolean {
  if (value instanceof Undefined) return false;
  if (value instanceof Map) return value.size > 0;
  if (Array.isArray(value)) return value.length > 0 || value instanceof Stream;
  return typeof value === "bigint" ? value !== 0n : Boolean(value);
}

/** Whether a value counts as a number; true and false do. */
export function isNumber(value: JinjaValue): value is bigint | number | boolean {
  return typeof value === "bigint" || typeof value === "number" || typeof value === "boolean";
}

/** Converts true and false to numbers. */
export function asNumber(value: bigint | number | boolean): bigint | number {
  return typeof value === "boolean" ? BigInt(value) : value;
}

/** Whether two values are equal in Python; calls `count` for each value that is compared. */
export function isEqual(a: JinjaValue, b: JinjaValue, count: (values: number) => void): boolean {
  count(1);
  if (a === b) return true;
  if (isNumber(a) && isNumber(b)) return asNumber(a) == asNumber(b);
  if (a instanceof Undefined) return b instanceof Undefined;
  if (Array.isArray(a) && Array.isArray(b)) {
    const isKind = a instanceof Tuple === b instanceof Tuple;
    return isKind && a.length === b.length && a.every((each, i) => isEqual(each, b[i]!, count));
  }
  if (!(a instanceof Map && b instanceof Map) || a.size !== b.size) return false;
  return [...a].every(([key, each]) => b.has(key) && isEqual(each, b.get(key)!, count));
}

/** Orders two values: negative, 0 or positive. @throws Error for values without an order */
export function compare(a: JinjaValue, b: JinjaValue): number {
  if (isNumber(a) && isNumber(b)) {
    const [left, right] = [asNumber(a), asNumber(b)];
    return left < right ? -1 : left > right ? 1 : 0;
  }
  if (typeof a === "string" && typeof b === "string") return compareTexts(a, b);
  if (Array.isArray(a) && Array.isArray(b)) {
    for (let i = 0; i < Math.min(a.length, b.length); i++) {
      const order = compare(a[i]!, b[i]!);
      if (order !== 0) return order;
    }
    return a.length - b.length;
  }
  throw new Error(`${kindOf(a)} and ${kindOf(b)} cannot be ordered`);
}

/** Compares texts by code points: those beyond U+FFFF come after all others, although their surrogates do not. */
function compareTexts(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    if (a.charCodeAt(i) !== b.charCodeAt(i))
      return a.codePointAt(i)! - b.codePointAt(i)! || a.charCodeAt(i) - b.charCodeAt(i);
  }
  return a.length - b.length;
}
