/** @file The state of DropBP that a checkpoint keeps. */
import { z } from "zod";

export const DROP_STATE = z.object({
  /** Labels of the branches in the order of the blocks, such as "12.mlp". */
  branches: z.array(z.string()),
  rates: z.array(z.number()),
  /** Null: not measured, the rates are equal. */
  sensitivities: z.array(z.number()).nullable(),
  /** Micro-batches that left each branch out. */
  dropped: z.array(z.int()),
  /** Micro-batches so far. */
  passes: z.int(),
  steps: z.int(),
  /** Steps in which nothing was left to train. */
  skipped: z.int(),
});
export type DropState = z.output<typeof DROP_STATE>;
