/** @file The names of the results and checkpoints of jobs. */
import type { Job } from "../../jobs/job.ts";

/** Prefix of all names of results and checkpoints. */
export const RESULT_START = "ft:";
/** Prefix of the ids of jobs, left out in names. */
const ID_START = "ftjob-";
/** Characters of a job's id in the name of its result. */
const ID_LENGTH = 8;
const CHECKPOINT = "ckpt-step-";
const ID_OF_NAME = new RegExp(`^${RESULT_START}.*?:([^:]+)(?::${CHECKPOINT}[^:]*)?$`, "s");

/** `ft:base:graft:suffix:id`; a result that was trained from another one is named after the same base. */
export function resultName({ model, suffix, id }: Job): string {
  const base = /^ft:(.+?):graft:/.exec(model)?.[1] ?? model;
  return `${RESULT_START}${base}:graft:${suffix ?? ""}:${id.replace(ID_START, "").slice(0, ID_LENGTH)}`;
}

/** Name of a job's checkpoint after some step, in OpenAI's form. */
export function checkpointName(job: Job, step: number): string {
  return `${checkpointPrefix(job)}${step}`;
}

/** Prefix of the names of a job's checkpoints. */
export function checkpointPrefix(job: Job): string {
  return `${resultName(job)}:${CHECKPOINT}`;
}

/** The beginning of the id of the job with a result or checkpoint of this name; null: it is no such name. */
export function idStartOf(name: string): string | null {
  const id = ID_OF_NAME.exec(name)?.[1];
  return id === undefined ? null : `${ID_START}${id}`;
}
