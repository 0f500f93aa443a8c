/** @file A job as clients make one. */
import { AUTO, type Job } from "../../src/jobs/job.ts";

export function newJob(id: string, more: Partial<Job> = {}): Job {
  return {
    id,
    object: "fine_tuning.job",
    created_at: 1,
    finished_at: null,
    model: "tiny",
    fine_tuned_model: null,
    organization_id: "graft",
    status: "queued",
    hyperparameters: AUTO,
    method: { type: "supervised", supervised: { hyperparameters: AUTO } },
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
