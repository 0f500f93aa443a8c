/**
 * @file Arguments of the library's functions, which plain JavaScript may call with anything: schemas of what JSON cannot
 * represent, and the check that names an argument, what it is, and what is expected.
 */
import { z } from "zod";
import { parseSettings } from "./problems.ts";

/** A value that `isOne` accepts; `wanted` follows "expected". */
export function argument<T>(wanted: string, isOne: (value: unknown) => boolean): z.ZodType<T> {
  return z.custom<T>(isOne, `expected ${wanted}`);
}

/** An object or a function with at least these members. */
export function objectWith<T extends object>(
  wanted: string,
  ...members: readonly (keyof T & string)[]
): z.ZodType<T> {
  const isObject = (value: unknown): value is object =>
    (typeof value === "object" && value !== null) || typeof value === "function";
  return argument<T>(wanted, (value) => isObject(value) && members.every((name) => name in value));
}

export const A_FUNCTION = argument<() => unknown>("a function", (value) => typeof value === "function");

/** A signal that aborts work. */
export const A_SIGNAL = objectWith<AbortSignal>(
  "an AbortSignal",
  "aborted",
  "addEventListener",
  "removeEventListener",
  "throwIfAborted",
);

/** Variables by name, such as `process.env`. */
export const AN_ENVIRONMENT = argument<object>(
  "variables by name",
  (value) => typeof value === "object" && value !== null,
);

export const A_NAME = z.string().min(1);

/** A text, which may be empty. */
export const A_TEXT = z.string();

export const A_CHOICE = z.boolean();

/** A number of things, at least one. */
export const A_COUNT = z.int().min(1);

export const AN_AMOUNT = z.number().min(0);

/** An object with members of these kinds, and maybe others. */
export const withMembers = z.looseObject;

/** An object with members of these kinds only. */
export const onlyMembers = z.strictObject;

/** A value that is checked elsewhere, if it is given. */
export const ANYTHING = z.unknown().optional();

/** A list of any numbers, which are checked elsewhere. */
export const IDS = argument<readonly number[]>(
  "a list of token ids",
  (value) => Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView)),
);

/** Makes a schema at first use: a run of the program needs few of the library's schemas. */
export function lazily<T extends z.ZodType>(make: () => T): () => T {
  let made: T | null = null;
  return () => (made ??= make());
}

/**
 * Checks the arguments of a function, by name.
 * @throws UsageError "usage/flag" that lists every problem
 */
export function checkArguments(call: string, schema: () => z.ZodType, given: object): void {
  parseSettings(
    schema(),
    given,
    `the arguments of ${call}()`,
    `See the declaration of ${call}() for its arguments.`,
  );
}
