/** @file The paths of a job's files on the machine that trains it. */
import { UsageError } from "../../errors.ts";
import type { UploadedFile } from "../job.ts";
import type { JobPlaces } from "./job-settings.ts";
import type { JobRow } from "../job-table.ts";
import type { StateFolder } from "../state-folder.ts";

/** The part that is the same for all jobs of a worker. */
export type TrainingPlaces = Omit<JobPlaces, "initAdapter" | "data" | "evalData" | "output">;

/** Finds the files of a job. @throws UsageError "usage/data" when one has been removed */
export async function placesFor(
  { job, folder, initAdapter }: JobRow,
  files: StateFolder,
  places: TrainingPlaces,
): Promise<JobPlaces> {
  return {
    ...places,
    initAdapter: initAdapter === null ? null : await files.fetchShared(initAdapter),
    data: await files.contentOf(await find(files, job.training_file)),
    evalData:
      job.validation_file === null ? null : await files.contentOf(await find(files, job.validation_file)),
    output: files.runFolder(job.id, folder),
  };
}

async function find(files: StateFolder, id: string): Promise<UploadedFile> {
  const file = await files.readFile(id);
  if (file) return file;
  throw new UsageError(
    "usage/data",
    `Cannot read file "${id}": no file has this id, expected that of an uploaded file`,
    {
      hint: "Upload it again; the --state of the servers and the --files of the workers must be the same folder.",
    },
  );
}
