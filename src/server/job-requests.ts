/** @file What clients send to make fine-tuning jobs, in OpenAI's names and graft's own. */
import { z } from "zod";
import { HYPERPARAMETERS } from "../jobs/job.ts";

/** Settings of a way to train, as newer clients nest them. */
const METHOD = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("supervised"),
    supervised: z.strictObject({ hyperparameters: HYPERPARAMETERS.optional() }).optional(),
  }),
  z.strictObject({
    type: z.literal("dpo"),
    dpo: z.strictObject({ hyperparameters: HYPERPARAMETERS.optional() }).optional(),
  }),
]);

export const JOB_REQUEST = z.strictObject({
  model: z.string().describe("Name of the base, or of an adapter to go on from"),
  training_file: z.string().describe("Id of an uploaded file"),
  validation_file: z.string().nullish().describe("Id of a file that is held out"),
  method: METHOD.nullish(),
  hyperparameters: HYPERPARAMETERS.nullish(),
  suffix: z
    .string()
    .min(1)
    .max(64)
    .regex(/^[\w.-]+$/, "letters, digits, - _ and .")
    .nullish()
    .describe("Part of the name of what is trained"),
  seed: z.int().min(0).nullish(),
  metadata: z.record(z.string(), z.string()).nullish(),
  integrations: z.array(z.never()).nullish(),
  graft: z
    .record(z.string(), z.unknown())
    .nullish()
    .describe('Settings of graft train by their names in JSON, such as {"method": "road", "maxLength": 256}'),
});
export type JobRequest = z.output<typeof JOB_REQUEST>;

/** Which part of a list is asked for. */
export const PAGE = z.object({
  after: z.string().optional(),
  limit: z.coerce.number().int().min(1).max(100).default(20),
});
