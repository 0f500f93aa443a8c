/** @file A job as clients make one. */
import type { Job } from "../../src/jobs/job.ts";

export function newJob(id: string, more: Partial<Job> = {}): Job {
  const hyperparameters = { n_epochs: "auto", batch_size: "auto", learning_rate_multiplier: "auto" } as const;
  return {
    id,
    object: "fine_tuning.job",
    created_at: 1,
    finished_at: null,
    model: "tiny",
    fine_tuned_model: null,
    organization_id: "graft",
    status: "queued",
    hyperparameters,
    method: { type: "supervised", supervised: { hyperparameters } },
    training_file: "file-1",
    validation_file: null,
    result_files: [],
    trained_tokens: null,
    error: null,
    seed: 3,
    suffix: null,
    estimated_finish: null,
    metadata: null,
    graft: {},
    ...more,
  };
}
