/** @file The option of methods that rows of single tokens are trained beside their adapters. */
import { z } from "zod";

/** Field of an options schema. */
export const TRAINED_TOKENS = {
  trainableTokenIndices: z
    .array(z.union([z.int().min(0), z.string().min(1)]))
    .default([])
    .describe(
      "tokens whose rows of the embedding are trained too, and of a head that is tied to it: ids, or texts that are one token",
    ),
};
