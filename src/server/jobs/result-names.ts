/** @file What the results and checkpoints of jobs are called. */
import type { Job } from "../../jobs/job.ts";

/** What all names of results and checkpoints begin with. */
export const RESULT_START = "ft:";
/** What ids of jobs begin with, and names do not have. */
const ID_START = "ftjob-";
/** Characters of a job's id in the name of its result. */
const ID_LENGTH = 8;
const CHECKPOINT = "ckpt-step-";
const ID_OF_NAME = new RegExp(`^${RESULT_START}.*?:([^:]+)(?::${CHECKPOINT}[^:]*)?$`, "s");

/** `ft:base:graft:suffix:id`; what goes on from a result is named after the same base. */
export function resultName({ model, suffix, id }: Job): string {
  const base = /^ft:(.+?):graft:/.exec(model)?.[1] ?? model;
  return `${RESULT_START}${base}:graft:${suffix ?? ""}:${id.replace(ID_START, "").slice(0, ID_LENGTH)}`;
}

/** Name of what a job had trained after some step, which OpenAI forms so. */
export function checkpointName(job: Job, step: number): string {
  return `${checkpointPrefix(job)}${step}`;
}

/** What the names of a job's checkpoints begin with. */
export function checkpointPrefix(job: Job): string {
  return `${resultName(job)}:${CHECKPOINT}`;
}

/** What the id of the job begins with that trains what is called so; null: no result or checkpoint is. */
export function idStartOf(name: string): string | null {
  const id = ID_OF_NAME.exec(name)?.[1];
  return id === undefined ? null : `${ID_START}${id}`;
}
