/** @file What routes and models need from the jobs of a server. */
import type { Job } from "../jobs/job.ts";
import type { JobQueue } from "../jobs/queue/job-queue.ts";
import type { StateFolder } from "../jobs/state-folder.ts";

/** The jobs of a server, and their files. */
export interface FineTuning {
  /** Fingerprint of the base. A job belongs to a base with this fingerprint, whatever the base's name is. */
  readonly fingerprint: string;
  readonly files: StateFolder;
  readonly queue: JobQueue;
  /** Checks a job's settings. @throws UsageError that lists what is wrong with them */
  readonly requireSettings: (job: Job) => void;
  /** Makes the result of a job available by name to requests, if there is one, on whichever server it was trained or removed. */
  readonly find: (name: string) => Promise<void>;
  /** Whether a name is that of what a job trains, or has trained. */
  readonly owns: (name: string) => Promise<boolean>;
  /** Makes the result of a job available again by a name that an operator has unloaded. */
  readonly giveBack: (name: string) => Promise<void>;
  /** Removes the result of a job by name; false: no job has trained it. */
  readonly removeResult: (name: string) => Promise<boolean>;
  /** Takes up the jobs that earlier processes left unfinished. */
  readonly start: () => Promise<void>;
  /** Stops trainings in this process after their step, with a checkpoint, so that the next process can resume them. */
  readonly stop: () => Promise<void>;
  /** As `stop`, and closes the table, which no request may need any more. */
  readonly close: () => Promise<void>;
}
