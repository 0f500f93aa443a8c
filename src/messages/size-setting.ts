/** @file Settings that are sizes of memory. */
import { z } from "zod";
import { A_SIZE, parseByteSize } from "./byte-size.ts";
import { SIZE_FORMAT } from "./expected.ts";

/** A size, or one of some words instead. */
export function sizeSetting(...words: readonly string[]) {
  return z
    .string()
    .meta({ format: SIZE_FORMAT })
    .refine(
      (text) => words.includes(text) || parseByteSize(text) !== null,
      ["expected " + A_SIZE, ...words].join(", or "),
    );
}
