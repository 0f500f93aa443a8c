/** @file Replaces paths of this machine by names in what a job reports of its files and of the adapter that it started from. */
import type { Job } from "../job.ts";
import type { JobPlaces } from "./job-settings.ts";
import type { StateFolder } from "../state-folder.ts";

export interface JobWords {
  /** Replaces paths of this machine in a text. */
  readonly named: (text: string) => string;
  /** The key of the job's file that a text is about; null: none. */
  readonly paramOf: (text: string) => string | null;
}

/** The replacements before a job's files are found. */
export function wordsOf(files: StateFolder, job: Job): JobWords {
  const ids = { training_file: job.training_file, validation_file: job.validation_file };
  const isAbout = (text: string, what: string | null): boolean => what !== null && text.includes(what);
  return {
    named: (text) => files.withoutPath(text),
    paramOf: (text) => Object.entries(ids).find(([, id]) => isAbout(text, id))?.[0] ?? null,
  };
}

/** The replacements once the paths are known. */
export async function wordsWith(
  files: StateFolder,
  job: Job,
  { data, evalData, initAdapter }: Pick<JobPlaces, "data" | "evalData" | "initAdapter">,
): Promise<JobWords> {
  const plain = wordsOf(files, job);
  const names = new Map(initAdapter === null ? [] : [[initAdapter, job.model]]);
  for (const [id, path] of [
    [job.training_file, data],
    [job.validation_file, evalData],
  ] as const) {
    const file = id === null ? null : await files.readFile(id);
    if (file && path !== null) names.set(path, file.filename);
  }
  return {
    ...plain,
    named: (text) => {
      let told = text;
      for (const [path, name] of names) told = told.replaceAll(path, () => name);
      return plain.named(told);
    },
  };
}
