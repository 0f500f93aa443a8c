/** @file All filters: those of lists and texts, and others. Each is one line in a list. */
import { type Filter, type FilterCall, argument, flag, listOf, pathOf } from "./filter-call.ts";
import { LIST_FILTERS } from "./filters/list-filters.ts";
import { itemOf } from "./members.ts";
import { TEXT_FILTERS } from "./filters/text-filters.ts";
import { strip } from "./text-methods.ts";
import {
  Namespace,
  Stream,
  Undefined,
  type JinjaValue,
  asNumber,
  isNumber,
  isTrue,
  kindOf,
  nameOf,
} from "./values.ts";

const map: Filter = (value, call) => {
  const path = call.named.get("attribute");
  const [name, ...args] = call.args;
  const each = (one: JinjaValue): JinjaValue => {
    if (path === undefined) return findFilter(nameOf(name))(one, { ...call, args });
    const found = pathOf(one, path, call.meter);
    const otherwise = call.named.get("default");
    return found instanceof Undefined && otherwise !== undefined ? otherwise : found;
  };
  return Stream.from(isTrue(value) ? listOf(value, call) : [], each);
};

function toNumber(value: JinjaValue, otherwise: JinjaValue, type: "float" | "int"): JinjaValue {
  const isWhole = type === "int";
  if (isNumber(value)) return isWhole ? BigInt(Math.trunc(Number(value))) : Number(value);
  const text = typeof value === "string" ? strip(value, "both") : "";
  if (isWhole && /^[-+]?\d+$/.test(text)) return BigInt(text.replace("+", ""));
  if (!/^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$/.test(text)) return otherwise;
  return isWhole ? BigInt(Math.trunc(Number(text))) : Number(text);
}

function defaultOf(value: JinjaValue, call: FilterCall): JinjaValue {
  const isAbsent = value instanceof Undefined || (flag(call, 1, "boolean") && !isTrue(value));
  const otherwise = argument(call, 0, "default_value");
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
  attr: (value, { args: [name = null], meter }) =>
    value instanceof Namespace || value instanceof Undefined || typeof name !== "string"
      ? new Undefined("an attribute")
      : itemOf(value, name, meter),
  d: defaultOf,
  default: defaultOf,
  float: (value, call) => toNumber(value, argument(call, 0, "default") ?? 0, "float"),
  int: (value, call) => toNumber(value, argument(call, 0, "default") ?? 0n, "int"),
  map,
};

/** @throws Error for a name that graft does not know */
export function findFilter(name: string): Filter {
  if (Object.hasOwn(FILTERS, name)) return FILTERS[name]!;
  throw new Error(`the filter "${name}" is not known`);
}
