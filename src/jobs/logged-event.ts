/** @file Entries of the log in a checkpoint, as events of a training. */
import { z } from "zod";

/** JSON stores NaN and Infinity as null. */
const NUMBER = z
  .number()
  .nullable()
  .transform((value) => value ?? NaN);

/** One entry: a step, an evaluation or a sample. */
export const LOGGED_EVENT = z.discriminatedUnion("event", [
  z.object({
    event: z.literal("step"),
    step: z.int(),
    total_steps: z.int(),
    loss: NUMBER,
    learning_rate: z.number(),
  }),
  z.object({
    event: z.literal("eval"),
    step: z.int(),
    loss: NUMBER,
    token_accuracy: NUMBER.optional(),
  }),
  z.object({
    event: z.literal("sample"),
    step: z.int(),
    index: z.int(),
    prompt: z.string(),
    text: z.string(),
    tokens: z.int(),
  }),
]);
export type LoggedEvent = z.output<typeof LOGGED_EVENT>;
