/**
 * @file Arguments of the library's functions, which plain JavaScript may call with anything: schemas of what JSON has no word
 * for, and the check that names an argument, what it is, and what it has to be.
 */
import { z } from "zod";
import { parseSettings } from "./problems.ts";

/** A value that `isOne` knows; `wanted` follows "expected". */
export function argument<T>(wanted: string, isOne: (value: unknown) => boolean): z.ZodType<T> {
  return z.custom<T>(isOne, `expected ${wanted}`);
}

/** An object, or a function, with these members at least. */
export function objectWith<T extends object>(
  wanted: string,
  ...members: readonly (keyof T & string)[]
): z.ZodType<T> {
  const isObject = (value: unknown): value is object =>
    (typeof value === "object" && value !== null) || typeof value === "function";
  return argument<T>(wanted, (value) => isObject(value) && members.every((name) => name in value));
}

/** A function, which is called later. */
export const A_FUNCTION = argument<() => unknown>("a function", (value) => typeof value === "function");

/** What stops work. */
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

/** Text, which may be empty. */
export const A_TEXT = z.string();

/** True or false. */
export const A_CHOICE = z.boolean();

/** How many there are of something. */
export const A_COUNT = z.int().min(1);

export const AN_AMOUNT = z.number().min(0);

/** An object with members of these kinds, and maybe others. */
export const withMembers = z.looseObject;

/** An object with members of these kinds alone. */
export const onlyMembers = z.strictObject;

/** What others look at, if it is there. */
export const ANYTHING = z.unknown().optional();

/** A list of any numbers, which others look at. */
export const IDS = argument<readonly number[]>(
  "a list of token ids",
  (value) => Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView)),
);

/** Makes a schema when it is first needed: a run of the program needs few of the library's. */
export function lazily<T extends z.ZodType>(make: () => T): () => T {
  let made: T | null = null;
  return () => (made ??= make());
}

/**
 * Checks the arguments of a function, by their names.
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
