/** @file Joins a queue of jobs to a server's model: what is trained on it here, and what becomes of results from anywhere. */
import type { Environment } from "../environment.ts";
import { makeSampleWriter } from "../engine/sample-writer.ts";
import type { Clock } from "../jobs/clock.ts";
import type { JobQueue } from "../jobs/job-queue.ts";
import { hasEnded } from "../jobs/job.ts";
import { JobWorker } from "../jobs/job-worker.ts";
import type { JobRow } from "../jobs/job-table.ts";
import { jobSettings } from "../jobs/job-settings.ts";
import { type TrainingPlaces, placesFor } from "../jobs/places.ts";
import type { StateFolder } from "../jobs/state-folder.ts";
import { trainJob } from "../jobs/train-job.ts";
import { Trouble, type TroubleOptions } from "../jobs/trouble.ts";
import { checkpointName, checkpointPrefix, resultName } from "./fine-tuning.ts";
import type { FineTuning, ServerState } from "./server-state.ts";

/** How long a job stays a worker's that is not heard of. */
export const LEASE_MS = 30_000;
/** Between two looks for jobs and results of other processes. */
export const POLL_MS = 1000;

/** What is kept of the command that serves. */
export interface FineTuningOptions extends Omit<TrainingPlaces, "model" | "width">, TroubleOptions {
  /** Fingerprint of the base. */
  readonly fingerprint: string;
  readonly files: StateFolder;
  readonly queue: JobQueue;
  /** Jobs that train here at a time. */
  readonly maxRunning: number;
  /** Whether jobs are trained here, and nowhere else; otherwise by workers in other processes. */
  readonly trainsHere: boolean;
  readonly clock: Clock;
  readonly env: Environment;
}

/** Makes the jobs of a server, not started yet. */
export function openFineTuning(state: ServerState, options: FineTuningOptions): FineTuning {
  const { fingerprint, files, queue, maxRunning, trainsHere, clock, env, ...more } = options;
  const { onTrouble, onRecovered, ...open } = more;
  const troubles = { onTrouble, ...(onRecovered && { onRecovered }) };
  const { engine, parts } = state.model;
  const places: TrainingPlaces = {
    model: parts.checkpoint.path,
    width: engine.session.model.width,
    ...open,
  };
  /** Read when it is first asked for. */
  const onResult = async ({ job, folder }: JobRow): Promise<void> => {
    const name = job.fine_tuned_model ?? resultName(job);
    if (engine.adapters.has(name)) return;
    await files.fetchRun(job.id, folder);
    if (!(await files.hasRun(job.id, folder))) return;
    state.register(name, files.runFolder(job.id, folder), job.finished_at ?? undefined);
  };
  /** Lets requests ask for what a job has trained so far, and forgets what is gone. */
  const nameCheckpoints = async ({ job, folder }: JobRow): Promise<void> => {
    const { adapters } = engine;
    const prefix = checkpointPrefix(job);
    await files.fetchRun(job.id, folder);
    // One that cannot be listed is not served.
    const found = await files.listCheckpoints(job.id, folder).catch(() => []);
    const paths = new Map(found.map(({ step, path }) => [checkpointName(job, step), path]));
    for (const { name } of adapters.list()) {
      if (name.startsWith(prefix) && !paths.delete(name)) state.unload(name);
    }
    for (const [name, path] of paths) state.register(name, path, job.finished_at ?? undefined);
  };
  /** One after another: a list that is older does not undo a newer one. */
  let naming: Promise<void> = Promise.resolve();
  const worker = new JobWorker({
    queue,
    base: fingerprint,
    maxRunning,
    owner: "server",
    clock,
    leaseMs: LEASE_MS,
    pollMs: POLL_MS,
    ...troubles,
    work: (taken, lease) =>
      trainJob(taken, lease, {
        files,
        placesOf: (row) => placesFor(row, files, places),
        share: () => ({ session: state.model.trainingSession, ...engine.turns.training() }),
        nameOf: resultName,
        now: () => state.seconds(),
        env,
        makeSampleWriter,
        onResult,
        onCheckpoint: (row) => void (naming = naming.then(() => nameCheckpoints(row))),
      }),
  });
  const known = new Set<string>();
  const readResults = async (): Promise<void> => {
    const faults: unknown[] = [];
    for (const id of await queue.table.listSucceeded()) {
      if (known.has(id)) continue;
      const row = await queue.table.read(id);
      try {
        // Of another base, another server's to serve.
        if (row && row.base === fingerprint) await Promise.all([onResult(row), nameCheckpoints(row)]);
        known.add(id);
      } catch (error) {
        // The others are not kept waiting by one that cannot be read.
        faults.push(error);
      }
    }
    if (faults.length > 0) throw faults[0];
  };
  const closed = new AbortController();
  let watching: Promise<void> | null = null;
  const trouble = new Trouble(troubles);
  const watch = async (): Promise<void> => {
    while (!closed.signal.aborted) {
      await clock.sleep(POLL_MS, closed.signal);
      await readResults().then(
        () => trouble.end(),
        (error: unknown) => trouble.tell(error),
      );
    }
  };
  return {
    fingerprint,
    files,
    queue,
    requireSettings: (job) => {
      // Which files there are is another matter: settings are the same for all.
      jobSettings(job, {
        ...places,
        initAdapter: null,
        data: ".jsonl",
        evalData: job.validation_file,
        output: ".",
      });
    },
    removeResult: async (name) => {
      const rows = await queue.table.list();
      const row = rows.find(({ job }) => job.fine_tuned_model === name);
      const ofCheckpoint = rows.find(({ job }) => hasEnded(job) && name.startsWith(checkpointPrefix(job)));
      if (row) {
        state.unload(name);
        await files.removeRuns(row.job.id);
      } else if (ofCheckpoint) {
        const { job, folder } = ofCheckpoint;
        await files.removeCheckpoint(job.id, folder, Number(name.slice(checkpointPrefix(job).length)));
      }
      const changed = row ?? ofCheckpoint;
      if (changed) await (naming = naming.then(() => nameCheckpoints(changed)));
      return changed !== undefined;
    },
    start: async () => {
      if (trainsHere) await queue.takeBackAll();
      const tell = (error: unknown): void => trouble.tell(error);
      for (const row of await queue.table.list()) {
        if (row.base === fingerprint && row.job.status !== "succeeded")
          await nameCheckpoints(row).catch(tell);
      }
      await readResults().catch(tell);
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
