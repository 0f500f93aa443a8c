/** @file Names of models and adapters that a server gives: they stand in lists, logs and plain answers. */
import { z } from "zod";

/** No name is longer; those of results are made of a base's and more. */
export const NAME_LENGTH = 512;

export const ONE_LINE_NAME = z
  .string()
  .max(NAME_LENGTH)
  .regex(/^[^\p{Cc}\p{Zl}\p{Zp}]+$/u, "a name on one line");
