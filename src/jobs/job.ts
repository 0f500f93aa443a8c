/** @file A fine-tuning job, its events and its files, with the names of OpenAI's interface. */
import { z } from "zod";
import { TEXT_OBJECTIVES, defaultObjective } from "../train/objectives.ts";
import { MAX_EPOCHS } from "../train/settings/setting-groups.ts";

const JOB_STATUSES = [
  "validating_files",
  "queued",
  "running",
  "paused",
  "succeeded",
  "failed",
  "cancelled",
] as const;
export type JobStatus = (typeof JOB_STATUSES)[number];

/** Statuses of jobs that cannot continue. */
export const ENDED: ReadonlySet<JobStatus> = new Set(["succeeded", "failed", "cancelled"]);

/** Statuses of jobs that may continue. */
export const NOT_ENDED: readonly JobStatus[] = JOB_STATUSES.filter((status) => !ENDED.has(status));

/** Whether a job cannot continue. */
export function hasEnded({ status }: Pick<Job, "status">): boolean {
  return ENDED.has(status);
}

/**
 * A hyperparameter that a job trains with. May be 0, since graft's own settings, such as a learning rate and the beta of ORPO,
 * may be.
 */
const HYPERPARAMETER = z.union([z.number().min(0), z.literal("auto")]);

const HYPERPARAMETERS = z.strictObject({
  n_epochs: HYPERPARAMETER,
  batch_size: HYPERPARAMETER,
  learning_rate_multiplier: HYPERPARAMETER,
  /** Used by training on preferences only. */
  beta: HYPERPARAMETER.optional(),
});
export type Hyperparameters = z.output<typeof HYPERPARAMETERS>;
const ASKED = z.union([z.number().positive(), z.literal("auto")]);
/** Hyperparameters as clients may send them. */
export const ASKED_HYPERPARAMETERS = HYPERPARAMETERS.extend({
  n_epochs: z.union([z.number().positive().max(MAX_EPOCHS), z.literal("auto")]).default("auto"),
  batch_size: z.union([z.int().positive(), z.literal("auto")]).default("auto"),
  learning_rate_multiplier: ASKED.default("auto"),
  beta: ASKED.optional(),
});
/** Hyperparameters of a client that sends none. */
export const AUTO: Hyperparameters = {
  n_epochs: "auto",
  batch_size: "auto",
  learning_rate_multiplier: "auto",
};

/** OpenAI's word for plain training on texts and conversations. */
export const SUPERVISED = "supervised";
/** The objective for it in graft: that of models that write texts. */
export const SUPERVISED_OBJECTIVE = defaultObjective({ problem: null });
/** The methods of jobs: plain training, or an objective by name. */
export const JOB_METHODS: readonly string[] = [SUPERVISED, ...TEXT_OBJECTIVES.map(({ name }) => name)];

const ERROR = z.object({ code: z.string(), message: z.string(), param: z.string().nullable() });

/** A job as it is kept in the table. Times are in seconds. */
export const JOB = z.object({
  id: z.string(),
  object: z.literal("fine_tuning.job"),
  created_at: z.int(),
  finished_at: z.int().nullable(),
  model: z.string(),
  fine_tuned_model: z.string().nullable(),
  organization_id: z.string(),
  status: z.enum(JOB_STATUSES),
  /** The hyperparameters that the client sent. */
  hyperparameters: HYPERPARAMETERS,
  /** The hyperparameters that the job trains with, known when it begins. Clients then see these instead of those that were sent. */
  used: HYPERPARAMETERS.optional(),
  method: z.object({ type: z.enum(JOB_METHODS) }).loose(),
  training_file: z.string(),
  validation_file: z.string().nullable(),
  result_files: z.array(z.string()),
  trained_tokens: z.int().nullable(),
  error: ERROR.nullable(),
  seed: z.int(),
  suffix: z.string().nullable(),
  estimated_finish: z.int().nullable(),
  metadata: z.record(z.string(), z.string()).nullable(),
  /** graft's own settings. */
  graft: z.record(z.string(), z.unknown()),
});
export type Job = z.output<typeof JOB>;

export const JOB_EVENT = z.object({
  id: z.string(),
  object: z.literal("fine_tuning.job.event"),
  created_at: z.int(),
  level: z.enum(["info", "warn", "error"]),
  message: z.string(),
  type: z.enum(["message", "metrics"]),
  data: z.record(z.string(), z.unknown()).nullable(),
});
export type JobEvent = z.output<typeof JOB_EVENT>;

export const UPLOADED_FILE = z.object({
  id: z.string(),
  object: z.literal("file"),
  bytes: z.int(),
  created_at: z.int(),
  filename: z.string(),
  purpose: z.string(),
  status: z.enum(["uploaded", "processed", "error"]),
});
export type UploadedFile = z.output<typeof UPLOADED_FILE>;

/** A checkpoint of a job, which requests can use like an adapter. */
export interface JobCheckpoint {
  readonly step: number;
  readonly path: string;
}

/** The result of a training. */
export interface JobResult {
  readonly steps: number;
  readonly trained_tokens: number;
  readonly last_loss: number | null;
  readonly held_out_loss: number | null;
}
