/** @file Filters of lists and dicts, which sort, split and select. */
import { type Filter, type FilterCall, listOf, pathOf } from "../filter-call.ts";
import { itemsOf, lengthOf, pairsOf } from "../members.ts";
import { BINARY } from "../operators.ts";
import { findTest } from "../tests.ts";
import {
  Stream,
  Undefined,
  type JinjaValue,
  charactersOf,
  compare,
  isEqual,
  isTrue,
  kindOf,
} from "../values.ts";

/** Returns the function that gives a value's sort key; upper and lower case are equal unless `isSensitive`. */
function keyReader(
  call: FilterCall,
  path: JinjaValue,
  isSensitive: boolean,
): (value: JinjaValue) => JinjaValue {
  return (value) => {
    const key = path === null ? value : pathOf(value, path, call.meter);
    return typeof key === "string" && !isSensitive ? key.toLowerCase() : key;
  };
}

function sorted(
  items: readonly JinjaValue[],
  keyOf: (value: JinjaValue) => JinjaValue,
  isReverse: boolean,
  { meter }: FilterCall,
): JinjaValue[] {
  const keyed = items.map((value) => ({ value, key: keyOf(value) }));
  const order = keyed.toSorted((a, b) => {
    meter.spend(1);
    return isReverse ? compare(b.key, a.key) : compare(a.key, b.key);
  });
  return order.map(({ value }) => value);
}

/** Makes the filter for the smallest or largest item of a list. */
function extreme(sign: number): Filter {
  return (value, call) => {
    const isSensitive = call.args.flag(0, "case_sensitive");
    const keyOf = keyReader(call, call.args.value(1, "attribute") ?? null, isSensitive);
    const [first, ...rest] = listOf(value, call);
    if (first === undefined) return new Undefined("an item of an empty list");
    return rest.reduce((best, one) => (sign * compare(keyOf(one), keyOf(best)) > 0 ? one : best), first);
  };
}

/**
 * Makes a filter that keeps the items that pass a test, or those that fail it; `hasPath`: the first argument names the
 * attribute to test.
 */
function selecting({ keeps, hasPath }: { readonly keeps: boolean; readonly hasPath: boolean }): Filter {
  return (value, call) => {
    const [path, ...rest] = hasPath ? call.args.places() : [null, ...call.args.places()];
    const [name, ...args] = rest;
    const test = typeof name === "string" ? findTest(name) : isTrue;
    const kept = (isTrue(value) ? listOf(value, call) : []).filter(
      (one) => test(hasPath ? pathOf(one, path ?? null, call.meter) : one, args, call.meter) === keeps,
    );
    return Stream.from(kept);
  };
}

function endOf(value: JinjaValue, place: number): JinjaValue {
  const item = itemsOf(value).at(place);
  return item === undefined ? new Undefined("an item of an empty list") : item;
}

function lengthFilter(value: JinjaValue): JinjaValue {
  if (value instanceof Stream)
    throw new Error("the result of a filter has no length until it is made a list");
  return BigInt(lengthOf(value));
}

function toPairs(value: JinjaValue): JinjaValue[] {
  if (value instanceof Undefined) return [];
  if (value instanceof Map) return pairsOf(value);
  throw new Error(`${kindOf(value)} has no items`);
}

/** Extends a list to a length, if a fill value is given. */
function filledUp(items: readonly JinjaValue[], length: number, fill: JinjaValue | undefined): JinjaValue[] {
  const missing = fill === undefined || fill === null ? 0 : length - items.length;
  return [...items, ...Array.from({ length: Math.max(0, missing) }, () => fill ?? null)];
}

/** Splits a list into parts of a given size; the last part may be smaller. */
const batch: Filter = (value, call) => {
  const [items, size] = [listOf(value, call), call.args.number(0, "linecount", 0)];
  const fill = call.args.value(1, "fill_with");
  if (!(size >= 1)) throw new Error("batch() takes a number from 1");
  if (fill !== undefined && fill !== null) call.meter.items(size);
  const starts = Array.from({ length: Math.ceil(items.length / size) }, (_, i) => i * size);
  return Stream.from(starts, (start) => filledUp(items.slice(start, start + size), size, fill));
};

/** Splits a list into a given number of parts; the first ones may have one more item. */
const slice: Filter = (value, call) => {
  const [items, count] = [listOf(value, call), call.args.number(0, "slices", 0)];
  const fill = call.args.value(1, "fill_with");
  if (!(count >= 1)) throw new Error("slice() takes a number from 1");
  call.meter.items(count);
  const [least, numLonger] = [Math.floor(items.length / count), items.length % count];
  const startOf = (i: number): number => i * least + Math.min(i, numLonger);
  return Stream.from({ length: count }, (_, i) => {
    const part = items.slice(startOf(i), startOf(i + 1));
    return i < numLonger ? part : filledUp(part, least + 1, fill);
  });
};

const sum: Filter = (value, call) => {
  const path = call.args.value(0, "attribute") ?? null;
  const start = call.args.value(1, "start") ?? 0n;
  const items = listOf(value, call).map((one) => (path === null ? one : pathOf(one, path, call.meter)));
  return items.reduce((total, one) => BINARY["+"]!(total, one, call.meter), start);
};

export const LIST_FILTERS: Readonly<Record<string, Filter>> = {
  batch,
  count: lengthFilter,
  dictsort: (value, call) => {
    const place = call.args.value(1, "by") === "value" ? 1n : 0n;
    const keyOf = keyReader(call, place, call.args.flag(0, "case_sensitive"));
    return sorted(toPairs(value), keyOf, call.args.flag(2, "reverse"), call);
  },
  first: (value) => endOf(value, 0),
  items: toPairs,
  last: (value) => endOf(value, -1),
  length: lengthFilter,
  list: (value, call) => [...listOf(value, call)],
  max: extreme(1),
  min: extreme(-1),
  reject: selecting({ keeps: false, hasPath: false }),
  rejectattr: selecting({ keeps: false, hasPath: true }),
  reverse: (value, call) => {
    if (typeof value === "string") return charactersOf(value).toReversed().join("");
    return Stream.from(listOf(value, call).toReversed());
  },
  select: selecting({ keeps: true, hasPath: false }),
  selectattr: selecting({ keeps: true, hasPath: true }),
  slice,
  sort: (value, call) => {
    const isSensitive = call.args.flag(1, "case_sensitive");
    const keyOf = keyReader(call, call.args.value(2, "attribute") ?? null, isSensitive);
    return sorted(listOf(value, call), keyOf, call.args.flag(0, "reverse"), call);
  },
  sum,
  unique: (value, call) => {
    const keyOf = keyReader(
      call,
      call.args.value(1, "attribute") ?? null,
      call.args.flag(0, "case_sensitive"),
    );
    const [kept, keys]: [JinjaValue[], JinjaValue[]] = [[], []];
    const count = call.meter.counter();
    for (const one of listOf(value, call)) {
      const key = keyOf(one);
      call.meter.spend(1);
      if (keys.some((other) => isEqual(other, key, count))) continue;
      kept.push(one);
      keys.push(key);
    }
    return Stream.from(kept);
  },
};
