/** @file Schemas of the answers about models, files and jobs, and about changes to them. Their names are OpenAI's. */
import { z } from "zod";
import { JOB, JOB_EVENT, UPLOADED_FILE } from "../../jobs/job.ts";

export const MODEL_ANSWER = z.strictObject({
  id: z.string(),
  object: z.literal("model"),
  created: z.int().describe("In seconds"),
  owned_by: z.string(),
  max_model_len: z.int(),
  root: z.string(),
  parent: z.string().nullable().describe("The base of an adapter"),
});

export const MODELS_ANSWER = z.strictObject({ object: z.literal("list"), data: z.array(MODEL_ANSWER) });

export const FILE_ANSWER = UPLOADED_FILE.strict();
export const JOB_ANSWER = JOB.omit({ used: true }).strict();
export const JOB_EVENT_ANSWER = JOB_EVENT.strict();

export const CHECKPOINT_ANSWER = z.strictObject({
  id: z.string(),
  object: z.literal("fine_tuning.job.checkpoint"),
  created_at: z.int().describe("In seconds"),
  fine_tuning_job_id: z.string(),
  fine_tuned_model_checkpoint: z.string().describe("Name by which requests refer to it"),
  step_number: z.int(),
  metrics: z.record(z.string(), z.unknown()),
});

/** A page of a list. */
export function pageAnswer<T extends z.ZodType>(item: T) {
  return z.strictObject({
    object: z.literal("list"),
    data: z.array(item),
    has_more: z.boolean(),
    first_id: z.string().nullable(),
    last_id: z.string().nullable(),
  });
}

/** Confirms that something was removed. */
export function deletedAnswer<T extends string>(object: T) {
  return z.strictObject({ id: z.string(), object: z.literal(object), deleted: z.literal(true) });
}
