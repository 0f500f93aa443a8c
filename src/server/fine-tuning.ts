/** @file What routes and models need of the jobs of a server. */
import type { Job } from "../jobs/job.ts";
import type { JobQueue } from "../jobs/queue/job-queue.ts";
import type { StateFolder } from "../jobs/state-folder.ts";

/** The jobs of a server, and where their files are. */
export interface FineTuning {
  /** Fingerprint of the base. A job is for a base with this fingerprint, whatever its name is. */
  readonly fingerprint: string;
  readonly files: StateFolder;
  readonly queue: JobQueue;
  /** Holds a job's settings against what trainings take. @throws UsageError that lists what is wrong with them */
  readonly requireSettings: (job: Job) => void;
  /** Lets requests ask for what a job has trained by this name, if one has, wherever it trains, until it is removed, wherever that is. */
  readonly find: (name: string) => Promise<void>;
  /** Whether a name is that of what a job trains, or has trained. */
  readonly owns: (name: string) => Promise<boolean>;
  /** Lets requests ask again for what a job has trained, by a name that an operator has taken away. */
  readonly giveBack: (name: string) => Promise<void>;
  /** Removes what a job has trained, by its name; false: no job has trained that. */
  readonly removeResult: (name: string) => Promise<boolean>;
  /** Takes up what earlier processes have left. */
  readonly start: () => Promise<void>;
  /** Stops a training that runs here, after its step, with a checkpoint: the next process goes on. */
  readonly stop: () => Promise<void>;
  /** The same, and closes the table, which no request may need any more. */
  readonly close: () => Promise<void>;
}
