/** @file Finds the jobs and files that requests name, or refuses the request. */
import type { UploadedFile } from "../../jobs/job.ts";
import type { JobRow } from "../../jobs/job-table.ts";
import type { StateFolder } from "../../jobs/state-folder.ts";
import { ApiError, invalidValue } from "../api-error.ts";
import type { FineTuning } from "../fine-tuning.ts";
import type { ServerState } from "../server-state.ts";

export const JOBS = "/v1/fine_tuning/jobs";

/** Returns the fine-tuning of a server. @throws ApiError 404 for one without state */
export function requireJobs({ fineTuning }: ServerState): FineTuning {
  if (fineTuning) return fineTuning;
  throw new ApiError(404, "fine_tuning_disabled", "This server does not train: start it with --state FOLDER");
}

/** Finds a job. @throws ApiError 404 */
export async function requireJob({ files, queue }: FineTuning, id: string): Promise<JobRow> {
  const row = files.isId(id) ? await queue.table.read(id) : null;
  if (row) return row;
  throw new ApiError(404, "job_not_found", `There is no fine-tuning job "${id}"`, {
    param: "fine_tuning_job_id",
  });
}

/** Finds a file. @throws ApiError 404 */
export async function requireFile(files: StateFolder, id: string, param = "file_id"): Promise<UploadedFile> {
  const file = await files.readFile(id);
  if (file) return file;
  throw new ApiError(404, "file_not_found", `There is no file "${id}"`, { param });
}

/** The purpose of uploaded training data. */
export const DATA_PURPOSE = "fine-tune";

/**
 * Requires a file that a job may be trained on. @throws ApiError 404, 400 for a file with another purpose, such as the results of
 * a job
 */
export async function requireDataFile(files: StateFolder, id: string, param: string): Promise<void> {
  const { purpose } = await requireFile(files, id, param);
  if (purpose === DATA_PURPOSE) return;
  throw invalidValue(`The file "${id}" has the purpose "${purpose}", expected "${DATA_PURPOSE}"`, param);
}
