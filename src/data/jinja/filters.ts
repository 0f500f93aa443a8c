/** @file All filters: those of lists and texts, and others. Each is one line in a table. */
import { Arguments } from "./arguments.ts";
import { type Filter, type FilterCall, listOf, pathOf } from "./filter-call.ts";
import { LIST_FILTERS } from "./filters/list-filters.ts";
import { rounded } from "./fitted.ts";
import { methodOf } from "./members.ts";
import { TEXT_FILTERS } from "./filters/text-filters.ts";
import { strip } from "./text-methods.ts";
import { Stream, Undefined, type JinjaValue, asNumber, isNumber, isTrue, kindOf, nameOf } from "./values.ts";

const map: Filter = (value, { args, meter }) => {
  const items = isTrue(value) ? listOf(value, { args, meter }) : [];
  const path = args.value(Infinity, "attribute");
  if (path === undefined) {
    const [[name, ...places], named] = [args.places(), args.named()];
    return Stream.from(items, (one) =>
      filtered(nameOf(name), one, { args: new Arguments(places, named), meter }),
    );
  }
  const otherwise = args.value(Infinity, "default");
  return Stream.from(items, (one) => {
    const found = pathOf(one, path, meter);
    return found instanceof Undefined && otherwise !== undefined ? otherwise : found;
  });
};

/** The part of a text that may be a number; Python also reads 1_000. */
function numeralOf(value: JinjaValue): string {
  return typeof value === "string" ? strip(value, "both").replace(/(?<=\d)_(?=\d)/g, "") : "";
}

/** Null: it is not a number. */
function toFloat(value: JinjaValue): number | null {
  if (isNumber(value)) return Number(value);
  const text = numeralOf(value);
  return /^[-+]?(\d+(\.\d*)?|\.\d+)(e[-+]?\d+)?$/i.test(text) ? Number(text) : null;
}

/** Null: it is not a number, or has more digits than Python accepts. */
function toInt(value: JinjaValue): bigint | null {
  if (typeof value === "bigint") return value;
  const text = numeralOf(value);
  if (/^[-+]?\d{1,4300}$/.test(text)) return BigInt(text.replace("+", ""));
  const number = toFloat(value);
  return number === null || !Number.isFinite(number) ? null : BigInt(Math.trunc(number));
}

function orElse(number: JinjaValue, none: bigint | number, { args }: FilterCall): JinjaValue {
  const otherwise = args.value(0, "default") ?? none;
  return number ?? otherwise;
}

function defaultOf(value: JinjaValue, call: FilterCall): JinjaValue {
  const [otherwise, isForFalse] = [call.args.value(0, "default_value"), call.args.flag(1, "boolean")];
  const isAbsent = value instanceof Undefined || (isForFalse && !isTrue(value));
  return !isAbsent ? value : otherwise === undefined ? "" : otherwise;
}

const FILTERS: Readonly<Record<string, Filter>> = {
  ...LIST_FILTERS,
  ...TEXT_FILTERS,
  abs: (value) => {
    if (!isNumber(value)) throw new Error(`${kindOf(value)} has no absolute value`);
    const number = asNumber(value);
    return number < 0 ? -number : number;
  },
  // Unlike `.`, finds no keys of a dict.
  attr: (value, { args, meter }) => {
    const name = args.value(0, "name");
    const method = typeof name === "string" ? methodOf(value, name, meter) : undefined;
    return method ?? new Undefined("an attribute");
  },
  d: defaultOf,
  default: defaultOf,
  float: (value, call) => orElse(toFloat(value), 0, call),
  int: (value, call) => orElse(toInt(value), 0n, call),
  map,
  round: (value, { args }) => {
    const [digits, method] = [args.number(0, "precision", 0), args.value(1, "method") ?? "common"];
    if (!isNumber(value)) throw new Error(`${kindOf(value)} cannot be rounded`);
    const number = asNumber(value);
    const step = 10 ** digits;
    if (method === "ceil") return Math.ceil(Number(number) * step) / step;
    if (method === "floor") return Math.floor(Number(number) * step) / step;
    if (method !== "common") throw new Error("round() takes common, ceil or floor");
    if (typeof number === "number") return rounded(number, digits);
    return digits >= 0 ? number : BigInt(rounded(Number(number), digits));
  },
};

/** Runs a filter. @throws Error for an unknown name, or arguments that the filter does not take */
export function filtered(name: string, value: JinjaValue, call: FilterCall): JinjaValue {
  if (!Object.hasOwn(FILTERS, name)) throw new Error(`the filter "${name}" is unknown`);
  const made = FILTERS[name]!(value, call);
  call.args.requireAllRead();
  return made;
}
