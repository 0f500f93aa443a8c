/** @file What callers give as a method, held to the contract when it is defined, named or used. */
import { z } from "zod";
import { A_FUNCTION, A_NAME, argument, checkArguments, lazily, objectWith } from "../messages/arguments.ts";
import type { AdapterMethod, BaseMethod, Method } from "./method.ts";

/** What callers give as a method. */
export const A_METHOD = objectWith<Method>(
  "a method, as defineMethod() or defineBaseMethod() gives it",
  "name",
  "kind",
  "options",
);

/** What callers give as the methods to choose from. */
export const METHOD_LIST = z.array(A_METHOD);

/** What is there, whatever it is. */
const SOMETHING = argument<unknown>("something", (value) => value !== undefined && value !== null);
const COMMON = {
  name: A_NAME,
  paper: SOMETHING,
  learningRate: SOMETHING,
  options: objectWith<z.ZodType>("a schema of zod", "parse", "safeParse"),
  batch: SOMETHING,
};
const ADAPTER_METHOD = lazily(() =>
  z.strictObject({
    method: z.looseObject({
      ...COMMON,
      kind: z.literal("adapter"),
      targets: SOMETHING,
      configure: A_FUNCTION,
      trained: SOMETHING,
      frozen: SOMETHING,
      adapt: A_FUNCTION,
      materializesWeight: A_FUNCTION,
      lookup: SOMETHING,
      merge: SOMETHING,
      algebra: SOMETHING,
      file: SOMETHING,
    }),
  }),
);
const BASE_METHOD = lazily(() =>
  z.strictObject({
    method: z.looseObject({
      ...COMMON,
      kind: z.literal("base"),
      trains: SOMETHING,
      trainedTokens: A_FUNCTION,
      result: SOMETHING,
    }),
  }),
);

/** Forgets the types of a method's options, for lists; the schema still guards them. */
export function defineMethod<O, S>(method: AdapterMethod<O, S>): AdapterMethod {
  checkArguments("defineMethod", ADAPTER_METHOD, { method });
  return method as unknown as AdapterMethod;
}

/** Does the same as `defineMethod` for a method that trains the base. */
export function defineBaseMethod<O>(method: BaseMethod<O>): BaseMethod {
  checkArguments("defineBaseMethod", BASE_METHOD, { method });
  return method as BaseMethod;
}
