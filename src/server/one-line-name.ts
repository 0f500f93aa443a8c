/** @file Names of models and adapters of a server: they appear in lists, logs and plain answers. */
import { z } from "zod";

/** Most characters of a name; names of results contain that of the base and more. */
export const NAME_LENGTH = 512;

export const ONE_LINE_NAME = z
  .string()
  .max(NAME_LENGTH)
  .regex(/^[^\p{Cc}\p{Zl}\p{Zp}]+$/u, "a name on one line");
