/**
 * @file Connects a queue of jobs with the model that a server serves. The server trains jobs on that model, and loads the results
 * of all jobs as adapters, wherever they were trained.
 */
import type { Environment } from "../../environment.ts";
import { makeSampleWriter } from "../../engine/sample-writer.ts";
import type { Clock } from "../../jobs/queue/clock.ts";
import type { JobQueue } from "../../jobs/queue/job-queue.ts";
import { JobWorker } from "../../jobs/queue/job-worker.ts";
import { jobSettings } from "../../jobs/training/job-settings.ts";
import { type TrainingPlaces, placesFor } from "../../jobs/training/places.ts";
import type { StateFolder } from "../../jobs/state-folder.ts";
import { trainJob } from "../../jobs/training/train-job.ts";
import { Trouble, type TroubleOptions } from "../../jobs/queue/trouble.ts";
import { resultName } from "./result-names.ts";
import { METHODS } from "../../peft/methods.ts";
import type { Checkpoint } from "../../format/checkpoint/checkpoint.ts";
import type { Model } from "../../models/model.ts";
import { requireFit } from "../../train/files/data/text-data.ts";
import { OBJECTIVES } from "../../train/objectives.ts";
import { layOutRun } from "../../train/files/setup/lay-out-run.ts";
import {
  chooseObjective,
  dropPlan,
  requireFrozenBase,
  requireShortWarmup,
} from "../../train/files/setup/run-choices.ts";
import { type TrainOptions, sizedFor } from "../../train/settings/options.ts";
import type { FineTuning } from "../fine-tuning.ts";
import type { ServerState } from "../server-state.ts";
import { TrainedModels } from "./trained-models.ts";

/** How long a worker that does not report keeps its job. */
const LEASE_MS = 30_000;
/** How often to look for jobs and results of other processes. */
const POLL_MS = 1000;

/** Options from the command that serves. */
interface FineTuningOptions {
  readonly fingerprint: string;
  readonly files: StateFolder;
  readonly queue: JobQueue;
  /** How trainings hold the model of the server, beyond what the server itself knows. */
  readonly held: Omit<TrainingPlaces, "model" | "width" | "base">;
  /** Most jobs that train here at a time. */
  readonly maxRunning: number;
  /** Whether jobs are trained in this process only; otherwise workers in other processes train them. */
  readonly trainsHere: boolean;
  readonly clock: Clock;
  readonly env: Environment;
  readonly troubles: TroubleOptions;
}

/** Makes the jobs of a server, without starting them. */
export function openFineTuning(state: ServerState, options: FineTuningOptions): FineTuning {
  const { fingerprint, files, queue, held, trainsHere, clock } = options;
  const { engine, parts } = state.model;
  const { width } = engine.session.model;
  const places = {
    model: parts.checkpoint.path,
    width,
    base: parts.base.roundedTo ?? undefined,
    ...held,
  };
  const trained = new TrainedModels(state, { queue, files, base: fingerprint });
  const worker = openWorker(state, options, places, trained);
  const closed = new AbortController();
  const trouble = new Trouble(options.troubles);
  let watching: Promise<void> | null = null;
  const stop = async (): Promise<void> => {
    closed.abort();
    await worker.close();
    await watching;
  };
  return {
    fingerprint,
    files,
    queue,
    requireSettings: (job) => {
      // Settings are the same for all files, so placeholders stand for them.
      const { validation_file: evalData } = job;
      const settings = jobSettings(job, {
        ...places,
        initAdapter: null,
        data: ".jsonl",
        evalData,
        output: ".",
      });
      requireFitting(settings, parts.checkpoint, engine.session.model);
    },
    find: (name) => trained.find(name),
    owns: (name) => trained.owns(name),
    giveBack: (name) => trained.giveBack(name),
    removeResult: (name) => trained.remove(name),
    start: async () => {
      const tell = (error: unknown): void => trouble.tell(error);
      if (trainsHere) await queue.takeBackAll();
      else await requireFilesOf(queue, files, tell);
      await trained.nameUnfinished().catch(tell);
      await trained.refresh().catch(tell);
      if (trainsHere) worker.start();
      else watching ??= watch(trained, { clock, trouble, signal: closed.signal });
    },
    stop,
    close: async () => {
      try {
        await stop();
      } finally {
        await queue.table.close();
      }
    },
  };
}

/** Checks settings against the base, as a training does at its start. @throws UsageError */
function requireFitting(settings: TrainOptions, checkpoint: Checkpoint, model: Model): void {
  requireFrozenBase(settings, METHODS);
  const sized = sizedFor(settings, model);
  dropPlan(sized, model);
  if (settings.steps !== undefined) requireShortWarmup(settings, settings.steps);
  requireFit(sized, model, chooseObjective(settings, model, OBJECTIVES).objective);
  layOutRun(settings, checkpoint, model, METHODS);
}

/** Checks that jobs of a shared database have their files in this folder. @throws UsageError "usage/flag" */
async function requireFilesOf(
  { table }: JobQueue,
  files: StateFolder,
  tell: (error: unknown) => void,
): Promise<void> {
  const jobs = await table.list().catch(tell);
  if (jobs && jobs.length > 0) await files.requireFiles();
}

/** Makes a worker that trains jobs on the model of the server, whose blocks take turns with texts. */
function openWorker(
  state: ServerState,
  { queue, fingerprint, files, maxRunning, clock, env, troubles }: FineTuningOptions,
  places: TrainingPlaces,
  trained: TrainedModels,
): JobWorker {
  const { trainingSession: session, engine, parts } = state.model;
  const { tokenizer } = parts;
  return new JobWorker({
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
        share: () => ({ session, tokenizer, ...engine.turns.training() }),
        nameOf: resultName,
        now: () => state.seconds(),
        env,
        makeSampleWriter,
        troubles,
        onResult: (row) => trained.name(row),
        onCheckpoint: (row) => void trained.name(row).catch(() => {}),
      }),
  });
}

/** Makes results of other processes available by name, until the signal aborts. */
async function watch(
  trained: TrainedModels,
  { clock, trouble, signal }: { clock: Clock; trouble: Trouble; signal: AbortSignal },
): Promise<void> {
  while (!signal.aborted) {
    await clock.sleep(POLL_MS, signal);
    await trained.refresh().then(
      () => trouble.end(),
      (error: unknown) => trouble.tell(error),
    );
  }
}
