/** @file Members of values: attributes, which may be methods, items, and slices. */
import { type Arguments, calling } from "./arguments.ts";
import type { Meter } from "./meter.ts";
import { textMethod } from "./text-methods.ts";
import {
  type Callable,
  Namespace,
  Tuple,
  Undefined,
  type JinjaValue,
  charactersOf,
  isEqual,
  kindOf,
} from "./values.ts";

/** `value.name`: a method has precedence over an item of that name. */
export function attributeOf(value: JinjaValue, name: string, meter: Meter): JinjaValue {
  requireDefined(value);
  if (value instanceof Namespace) return found(value.fields.get(name), value, name);
  return (
    methodOf(value, name, meter) ?? found(value instanceof Map ? value.get(name) : undefined, value, name)
  );
}

/** `value[key]`: an item has precedence over an attribute. */
export function itemOf(value: JinjaValue, key: JinjaValue, meter: Meter): JinjaValue {
  requireDefined(value);
  if (value instanceof Map && value.has(key)) return value.get(key)!;
  const isAt = typeof key === "bigint" || typeof key === "boolean";
  if (isAt && typeof value === "string")
    return found(charactersOf(value).at(Number(key)), value, String(key));
  if (isAt && Array.isArray(value)) return found(value.at(Number(key)), value, String(key));
  return typeof key === "string" ? attributeOf(value, key, meter) : found(undefined, value, kindOf(key));
}

/** The number of items or characters. @throws Error for a value without a length */
export function lengthOf(value: JinjaValue): number {
  if (typeof value === "string") return charactersOf(value).length;
  if (value instanceof Undefined) return 0;
  if (value instanceof Map) return value.size;
  if (Array.isArray(value)) return value.length;
  throw new Error(`${kindOf(value)} has no length`);
}

/** The items that a loop iterates over. @throws Error for a value that cannot be iterated */
export function itemsOf(value: JinjaValue): readonly JinjaValue[] {
  if (Array.isArray(value)) return value;
  if (value instanceof Map) return [...value.keys()];
  if (typeof value === "string") return charactersOf(value);
  if (value instanceof Undefined) return [];
  throw new Error(`${kindOf(value)} cannot be iterated`);
}

/** Whether a value is contained in another. @throws Error for one that cannot contain it */
export function isIn(value: JinjaValue, holder: JinjaValue, meter: Meter): boolean {
  if (holder instanceof Map) return holder.has(value);
  if (typeof holder === "string") {
    if (typeof value === "string") return holder.includes(value);
    throw new Error(`${kindOf(value)} cannot be in a text`);
  }
  const count = meter.counter();
  return itemsOf(holder).some((one) => isEqual(one, value, count));
}

/** `value[start:stop:step]`. @throws Error for other values than lists and texts */
export function sliceOf(
  value: JinjaValue,
  ends: readonly (JinjaValue | undefined)[],
  meter: Meter,
): JinjaValue {
  const list = typeof value === "string" || Array.isArray(value) ? itemsOf(value) : null;
  if (list === null) throw new Error(`${kindOf(value)} has no slices`);
  const [start, stop, step] = ends.map((end) => {
    if (end === undefined || end === null) return null;
    if (typeof end !== "bigint") throw new Error(`a slice with ${kindOf(end)}, expected whole numbers`);
    return Number(end);
  });
  const by = step ?? 1;
  if (by === 0) throw new Error("slice step cannot be zero");
  const { length } = list;
  const place = (end: number | null | undefined, otherwise: number): number => {
    if (end === null || end === undefined) return otherwise;
    const from = end < 0 ? end + length : end;
    return by > 0 ? Math.min(Math.max(from, 0), length) : Math.min(Math.max(from, -1), length - 1);
  };
  const [from, to] =
    by > 0 ? [place(start, 0), place(stop, length)] : [place(start, length - 1), place(stop, -1)];
  const parts: JinjaValue[] = [];
  for (let i = from; by > 0 ? i < to : i > to; i += by) parts.push(list[i]!);
  meter.items(parts.length);
  if (typeof value === "string") return (parts as string[]).join("");
  return value instanceof Tuple ? Tuple.from(parts) : parts;
}

/** Returns the item, or an `Undefined` that names it if it is missing. */
function found(item: JinjaValue | undefined, holder: JinjaValue, name: string): JinjaValue {
  return item === undefined ? new Undefined(`"${name}", which ${kindOf(holder)} does not have,`) : item;
}

/** @throws Error for an undefined value */
export function requireDefined(value: JinjaValue): void {
  if (value instanceof Undefined) throw new Error(`${value.what} is undefined`);
}

type Methods = Readonly<Record<string, (args: Arguments) => JinjaValue>>;

/** The method of a value; undefined if it has none of that name. */
export function methodOf(value: JinjaValue, name: string, meter: Meter): Callable | undefined {
  if (typeof value === "string") return textMethod(value, name, (length) => meter.text(length));
  const methods: Methods =
    value instanceof Map ? dictMethods(value) : Array.isArray(value) ? listMethods(value, meter) : {};
  return Object.hasOwn(methods, name) ? calling(methods[name]!) : undefined;
}

/** Pairs of keys and values. */
export function pairsOf(dict: Map<JinjaValue, JinjaValue>): JinjaValue[] {
  return Array.from(dict, (pair) => Tuple.from(pair));
}

function dictMethods(dict: Map<JinjaValue, JinjaValue>): Methods {
  return {
    items: () => pairsOf(dict),
    keys: () => [...dict.keys()],
    values: () => [...dict.values()],
    get: (args) => {
      const [key = null, otherwise = null] = [args.value(0, "key"), args.value(1, "default")];
      return dict.has(key) ? dict.get(key)! : otherwise;
    },
    copy: () => new Map(dict),
  };
}

function listMethods(list: readonly JinjaValue[], meter: Meter): Methods {
  const count = meter.counter();
  const isSame = (args: Arguments): ((one: JinjaValue) => boolean) => {
    const value = args.value(0, "value") ?? null;
    return (one) => isEqual(one, value, count);
  };
  return {
    index: (args) => {
      const [from, to] = args.range(list.length);
      const at = list.slice(from, to).findIndex(isSame(args));
      if (at < 0) throw new Error("the list has no such item");
      return BigInt(from + at);
    },
    count: (args) => BigInt(list.filter(isSame(args)).length),
    copy: () => [...list],
  };
}
