/** @file Checks methods that callers pass against the contract, when they are defined, listed or used. */
import { z } from "zod";
import {
  A_CHOICE,
  A_FUNCTION,
  A_NAME,
  A_TEXT,
  argument,
  checkArguments,
  lazily,
  objectWith,
  withMembers,
} from "../messages/arguments.ts";
import { type AdapterMethod, type BaseMethod, configFileOf, type Method } from "./method.ts";

/** Checks a method that a caller passes. */
export const A_METHOD = objectWith<Method>(
  "a method, as defineMethod() or defineBaseMethod() returns it",
  "name",
  "kind",
  "options",
);

/** Checks a list of methods to choose from. */
export const METHOD_LIST = z.array(A_METHOD).refine((list) => sharedType(list) === undefined, {
  error: ({ input }) =>
    `two of which have files of peftType "${sharedType(input as readonly Method[])}", expected one`,
});

/** Finds a file type that two methods claim, so that an adapter of one could be read as the other's. */
export function sharedType(methods: readonly Method[]): string | undefined {
  const types = methods.flatMap((method) => {
    const file = configFileOf(method);
    // A method that claims a configuration without further keys claims its whole type; methods that share a type need such keys.
    return file?.claims({}) ? file.peftType : [];
  });
  return types.find((type, i) => types.indexOf(type) < i);
}

/** Checks an object schema of options. */
export const AN_OPTIONS_SCHEMA = objectWith<z.ZodObject>(
  "an object schema of zod 4",
  "_zod",
  "shape",
  "safeParse",
);

/** Any value except null and undefined. */
const SOMETHING = argument<unknown>("something", (value) => value !== undefined && value !== null);
const A_LIST = argument<readonly unknown[]>("a list", Array.isArray);

/** A word, or an object with these members. Unlike a union, it reports problems inside the object by their own paths. */
function wordOr(word: string, members: Readonly<Record<string, z.ZodType>>): z.ZodType {
  const schema = withMembers(members);
  return z.unknown().superRefine((value, context) => {
    if (value === word) return;
    for (const { path, message } of schema.safeParse(value).error?.issues ?? []) {
      const wanted = path.length === 0 ? `expected "${word}", or an object` : message;
      context.addIssue({ code: "custom", path, message: wanted });
    }
  });
}

const CONFIG_FILE = {
  peftType: argument<string>("a name", (value) => typeof value === "string" && value !== ""),
  readBy: A_FUNCTION,
  claims: A_FUNCTION,
  toConfig: A_FUNCTION,
  fromConfig: A_FUNCTION,
};
const common = () => ({
  name: A_NAME,
  paper: withMembers({ title: A_TEXT, arxiv: A_TEXT }),
  learningRate: argument("a number or a function", (value) => /^(number|function)$/.test(typeof value)),
  options: AN_OPTIONS_SCHEMA,
  batch: wordOr("not-batchable", { form: A_FUNCTION }),
});
const ADAPTER_METHOD = lazily(() =>
  z.strictObject({
    method: withMembers({
      ...common(),
      kind: z.literal("adapter"),
      targets: withMembers({
        roles: SOMETHING,
        residual: A_CHOICE,
        modulesToSave: A_FUNCTION,
        trainedBiases: A_FUNCTION,
        trainedTokens: A_FUNCTION,
        parameters: wordOr("modules-only", { names: A_FUNCTION, split: A_FUNCTION }),
      }),
      configure: A_FUNCTION,
      trained: withMembers({ specs: A_FUNCTION, init: A_FUNCTION, initialChange: SOMETHING }),
      frozen: withMembers({
        specs: A_FUNCTION,
        freeze: A_FUNCTION,
        bound: A_FUNCTION,
        share: A_FUNCTION,
      }),
      adapt: A_FUNCTION,
      materializesWeight: A_FUNCTION,
      lookup: argument(
        '"not-on-embeddings" or a function',
        (value) => value === "not-on-embeddings" || typeof value === "function",
      ),
      merge: wordOr("not-mergeable", { graph: A_FUNCTION, stored: SOMETHING }),
      algebra: wordOr("not-composable", {
        kind: SOMETHING,
        refuses: A_FUNCTION,
        suffixes: A_LIST,
        sizeOf: A_FUNCTION,
        optionsOf: A_FUNCTION,
      }),
      file: withMembers({ ...CONFIG_FILE, toTensors: A_FUNCTION, fromTensors: A_FUNCTION }),
    }),
  }),
);
const BASE_METHOD = lazily(() =>
  z.strictObject({
    method: withMembers({
      ...common(),
      kind: z.literal("base"),
      trains: SOMETHING,
      trainedTokens: A_FUNCTION,
      result: wordOr("model", CONFIG_FILE),
    }),
  }),
);

/**
 * Drops the types of a method's options, for lists; the schema still checks them.
 * @throws UsageError "usage/flag" for what lacks a part of a method
 */
export function defineMethod<O, S>(method: AdapterMethod<O, S>): AdapterMethod {
  checkArguments("defineMethod", ADAPTER_METHOD, { method });
  return method as unknown as AdapterMethod;
}

/** Does the same as `defineMethod` for a method that trains the base. @throws as `defineMethod` */
export function defineBaseMethod<O>(method: BaseMethod<O>): BaseMethod {
  checkArguments("defineBaseMethod", BASE_METHOD, { method });
  return method as BaseMethod;
}
