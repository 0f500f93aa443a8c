/** @file Contract of the place where jobs and uploaded files are kept. All of it survives the end of the process. */
import type { Job, JobCheckpoint, JobEvent, UploadedFile } from "./job.ts";

export interface JobStore {
  /** All jobs, the oldest first. */
  listJobs(): Promise<Job[]>;
  /** Null: there is none. */
  readJob(id: string): Promise<Job | null>;
  /** Whole or not at all. @throws FailedError "failed/write" */
  writeJob(job: Job): Promise<void>;
  addEvent(job: string, event: JobEvent): Promise<void>;
  /** The oldest first. */
  listEvents(job: string): Promise<JobEvent[]>;
  /** The folder in which a job trains. */
  runFolder(job: string): string;
  /** Those that a job has written, the first first. */
  listCheckpoints(job: string): Promise<JobCheckpoint[]>;
  listFiles(): Promise<UploadedFile[]>;
  readFile(id: string): Promise<UploadedFile | null>;
  /** Path of a file's content. */
  pathOf(file: UploadedFile): string;
  /** Keeps an uploaded file. @throws FailedError "failed/write" */
  addFile(file: UploadedFile, content: Uint8Array): Promise<void>;
  removeFile(id: string): Promise<void>;
}
