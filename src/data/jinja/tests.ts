/** @file Tests of templates: `value is NAME`. */
import { isIn } from "./members.ts";
import type { Meter } from "./meter.ts";
import { BINARY } from "./operators.ts";
import { isLower, isUpper } from "./text-methods.ts";
import { Undefined, type JinjaValue, isNumber, isTrue } from "./values.ts";

type Test = (value: JinjaValue, args: readonly JinjaValue[], meter: Meter) => boolean;

/** Makes a test that applies an operator to the value and the first argument. */
function operator(name: string): Test {
  return (value, [other = null], meter) => isTrue(BINARY[name]!(value, other, meter));
}

/** Makes a test for the remainder of a number by 2; true and false count as numbers. */
function leaves(rest: number): Test {
  return (value) => {
    if (typeof value === "bigint") return (value % 2n === 0n ? 0 : 1) === rest;
    return (typeof value === "number" || typeof value === "boolean") && Math.abs(Number(value) % 2) === rest;
  };
}

const isText = (value: JinjaValue): value is string => typeof value === "string";
const [isSame, isBelow, isAbove] = [operator("=="), operator("<"), operator(">")];
const isPart = (value: JinjaValue): boolean => isText(value) || Array.isArray(value) || value instanceof Map;

const TESTS: Readonly<Record<string, Test>> = {
  defined: (value) => !(value instanceof Undefined),
  undefined: (value) => value instanceof Undefined,
  none: (value) => value === null,
  boolean: (value) => typeof value === "boolean",
  true: (value) => value === true,
  false: (value) => value === false,
  integer: (value) => typeof value === "bigint",
  float: (value) => typeof value === "number",
  number: isNumber,
  string: isText,
  mapping: (value) => value instanceof Map,
  sequence: isPart,
  iterable: (value) => isPart(value) || value instanceof Undefined,
  callable: (value) => typeof value === "function",
  odd: leaves(1),
  even: leaves(0),
  divisibleby: (value, [by]) =>
    typeof value === "bigint" && typeof by === "bigint" && by !== 0n && value % by === 0n,
  lower: (value) => isText(value) && isLower(value),
  upper: (value) => isText(value) && isUpper(value),
  sameas: (value, [other]) => value === other,
  in: (value, [holder = null], meter) => isIn(value, holder, meter),
  ...Object.fromEntries(["eq", "equalto", "=="].map((name) => [name, isSame])),
  ...Object.fromEntries(["ne", "!="].map((name) => [name, operator("!=")])),
  ...Object.fromEntries(["lt", "lessthan", "<"].map((name) => [name, isBelow])),
  ...Object.fromEntries(["gt", "greaterthan", ">"].map((name) => [name, isAbove])),
  ...Object.fromEntries(["le", "<="].map((name) => [name, operator("<=")])),
  ...Object.fromEntries(["ge", ">="].map((name) => [name, operator(">=")])),
};

/** @throws Error for an unknown name */
export function findTest(name: string): Test {
  if (Object.hasOwn(TESTS, name)) return TESTS[name]!;
  throw new Error(`the test "${name}" is unknown`);
}
