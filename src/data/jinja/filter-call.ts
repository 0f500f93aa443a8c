/** @file Contract of filters, `value | NAME(…)`, and what several of them share. */
import type { Arguments } from "./arguments.ts";
import { itemOf, itemsOf } from "./members.ts";
import type { Meter } from "./meter.ts";
import type { JinjaValue } from "./values.ts";
import { writeText } from "./written.ts";

/** The inputs of a filter besides the value. */
export interface FilterCall {
  readonly args: Arguments;
  readonly meter: Meter;
}

export type Filter = (value: JinjaValue, call: FilterCall) => JinjaValue;

/** Writes a value as text, and counts its characters. */
export function textOf(value: JinjaValue, { meter }: FilterCall): string {
  const text = writeText(value, meter.counter());
  meter.text(text.length);
  return text;
}

/** Makes a filter that works on the value's text. */
export function ofText(work: (text: string, args: Arguments, call: FilterCall) => JinjaValue): Filter {
  return (value, call) => work(textOf(value, call), call.args, call);
}

/** The items of a value; each item counts as a cost. */
export function listOf(value: JinjaValue, { meter }: FilterCall): readonly JinjaValue[] {
  const items = itemsOf(value);
  meter.items(items.length);
  return items;
}

/** The value at a path such as `function.name`, or at an index. */
export function pathOf(value: JinjaValue, path: JinjaValue, meter: Meter): JinjaValue {
  const parts = typeof path === "string" ? path.split(".") : [path];
  return parts.reduce<JinjaValue>((at, part) => {
    const key = typeof part === "string" && /^\d+$/.test(part) ? BigInt(part) : part;
    return itemOf(at, key, meter);
  }, value);
}
