/** @file Joins a queue of jobs to a server's model: what is trained on it here, and what becomes of results from anywhere. */
import type { Clock } from "../jobs/clock.ts";
import type { JobQueue } from "../jobs/job-queue.ts";
import { JobWorker } from "../jobs/job-worker.ts";
import type { JobRow } from "../jobs/job-table.ts";
import { type TrainingPlaces, placesFor } from "../jobs/places.ts";
import type { StateFolder } from "../jobs/state-folder.ts";
import { trainJob } from "../jobs/train-job.ts";
import { resultName } from "./fine-tuning.ts";
import type { FineTuning, ServerState } from "./server-state.ts";

/** How long a job stays a worker's that is not heard of. */
export const LEASE_MS = 30_000;
/** Between two looks for jobs and results of other processes. */
export const POLL_MS = 1000;

/** What is kept of the command that serves. */
export interface FineTuningOptions extends Omit<TrainingPlaces, "model" | "width"> {
  readonly files: StateFolder;
  readonly queue: JobQueue;
  /** Whether jobs are trained here, and nowhere else; otherwise by workers in other processes. */
  readonly trainsHere: boolean;
  readonly clock: Clock;
  readonly env: NodeJS.ProcessEnv;
  readonly onTrouble: (error: unknown) => void;
}

/** Makes the jobs of a server, not started yet. */
export function openFineTuning(
  state: ServerState,
  { files, queue, trainsHere, clock, env, onTrouble, ...open }: FineTuningOptions,
): FineTuning {
  const { engine, parts } = state.model;
  const places: TrainingPlaces = {
    model: parts.checkpoint.path,
    width: engine.session.model.width,
    ...open,
  };
  /** Read when it is first asked for. */
  const onResult = async ({ job, folder }: JobRow): Promise<void> => {
    const name = job.fine_tuned_model ?? resultName(job);
    if (!engine.adapters.has(name)) engine.adapters.register(name, files.runFolder(job.id, folder));
  };
  const worker = new JobWorker({
    queue,
    base: state.name,
    owner: "server",
    clock,
    leaseMs: LEASE_MS,
    pollMs: POLL_MS,
    onTrouble,
    work: (taken, lease) =>
      trainJob(taken, lease, {
        files,
        placesOf: (row) => placesFor(row, files, places),
        share: () => ({ session: engine.session, ...engine.turns.training() }),
        nameOf: resultName,
        now: () => state.seconds(),
        env,
        onResult,
      }),
  });
  const known = new Set<string>();
  const readResults = async (): Promise<void> => {
    for (const id of await queue.table.listSucceeded()) {
      if (known.has(id)) continue;
      const row = await queue.table.read(id);
      // Of another base, another server's to serve.
      if (row && row.base === state.name) await onResult(row);
      known.add(id);
    }
  };
  const closed = new AbortController();
  let watching: Promise<void> | null = null;
  const watch = async (): Promise<void> => {
    while (!closed.signal.aborted) {
      await clock.sleep(POLL_MS, closed.signal);
      await readResults().catch(onTrouble);
    }
  };
  return {
    files,
    queue,
    start: async () => {
      if (trainsHere) await queue.takeBackAll();
      await readResults();
      if (trainsHere) worker.start();
      else watching ??= watch();
    },
    close: async () => {
      closed.abort();
      await worker.close();
      await watching;
      await queue.table.close();
    },
  };
}
