/** @file What the results and checkpoints of jobs are called. */
import type { Job } from "../../jobs/job.ts";

/** What all names of results and checkpoints begin with. */
export const RESULT_START = "ft:";
/** Characters of a job's id in the name of its result. */
const ID_LENGTH = 8;

/** `ft:base:graft:suffix:id`; what goes on from a result is named after the same base. */
export function resultName({ model, suffix, id }: Job): string {
  const base = /^ft:(.+?):graft:/.exec(model)?.[1] ?? model;
  return `${RESULT_START}${base}:graft:${suffix ?? ""}:${id.replace("ftjob-", "").slice(0, ID_LENGTH)}`;
}

/** Name of what a job had trained after some step, which OpenAI forms so. */
export function checkpointName(job: Job, step: number): string {
  return `${checkpointPrefix(job)}${step}`;
}

/** What the names of a job's checkpoints begin with. */
export function checkpointPrefix(job: Job): string {
  return `${resultName(job)}:ckpt-step-`;
}
