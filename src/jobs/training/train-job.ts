/**
 * @file The work of a job: a training in its folder, with reports of its progress.
 *
 * A job that was given back continues in its folder. A job whose worker was lost continues in a copy, since that worker may still
 * write; nobody reads what it writes then.
 */
import type { Environment } from "../../environment.ts";
import { GraftError, assertInternal, toldWhole } from "../../errors.ts";
import type { AveragedInput } from "../../train/files/averaged-training.ts";
import type { TrainOptions } from "../../train/settings/options.ts";
import type { MakeSampleWriter } from "../../train/samples.ts";
import { train } from "../../train/trainer.ts";
import type { SharedModel, TrainHooks } from "../../train/train-hooks.ts";
import { toldOfAway } from "../away.ts";
import { shareFolder, trainPiece } from "./averaged-job.ts";
import { averagingOf } from "./averaging.ts";
import type { Hyperparameters, Job, JobResult } from "../job.ts";
import type { TakenJob } from "../queue/job-queue.ts";
import { type JobPlaces, SERVERS, inSettings, jobSettings } from "./job-settings.ts";
import type { JobRow } from "../job-table.ts";
import { follow, heardBefore, tellUnheard } from "./job-telling.ts";
import { type JobWords, wordsOf, wordsWith } from "./job-words.ts";
import type { Lease } from "../queue/lease.ts";
import { usedHyperparameters } from "./used-hyperparameters.ts";
import { keepResults } from "./results-file.ts";
import { Trouble, type TroubleOptions } from "../queue/trouble.ts";
import { StoreAwayError } from "../store/store-errors.ts";
import { RunPublisher } from "./run-publisher.ts";
import { folderOf } from "../queue/shares.ts";
import { untilStored } from "./until-stored.ts";
import { FIRST_RUN, type StateFolder } from "../state-folder.ts";

interface TrainJobOptions {
  readonly files: StateFolder;
  /** Finds the paths of a job's files. @throws what is wrong with the job */
  readonly placesOf: (row: JobRow) => Promise<JobPlaces>;
  /**
   * Begins a training's turns on a session that others use; they end with the training. null: the training opens the model
   * itself.
   */
  readonly share: (() => Required<SharedModel>) | null;
  readonly nameOf: (job: Job) => string;
  /** The current time in seconds. */
  readonly now: () => number;
  readonly env: Environment;
  /** Makes the writer of the samples that a job asks for. */
  readonly makeSampleWriter: MakeSampleWriter;
  /** Receives problems that clients cannot mend and that may pass: something the server needs is not available. */
  readonly troubles: TroubleOptions;
  /** Called for a job that has succeeded. */
  readonly onResult?: (row: JobRow) => Promise<void>;
  /** Called when the checkpoints have changed. */
  readonly onCheckpoint?: (row: JobRow) => void;
}

/** The state of a job's work, needed whatever ends it. */
interface Work {
  words: JobWords;
  /** Whether something that was trained must still be published. */
  isUnpublished: boolean;
}

/** Does the work of a job. */
export async function trainJob(taken: TakenJob, lease: Lease, options: TrainJobOptions): Promise<void> {
  const { files, nameOf, now, onResult, troubles } = options;
  const work: Work = { words: wordsOf(files, lease.row.job), isUnpublished: false };
  try {
    const result = await run(taken, lease, options, work);
    if (result === null) return;
    const name = nameOf(lease.row.job);
    const { last_loss: train_loss, held_out_loss: valid_loss, steps: total_steps } = result;
    const done = await lease.change(
      {
        status: "succeeded",
        finished_at: now(),
        fine_tuned_model: name,
        trained_tokens: result.trained_tokens,
        result_files: await resultsOf(lease, options),
      },
      { message: `The job has succeeded: ${name}`, data: { train_loss, valid_loss, total_steps } },
    );
    if (done) await onResult?.(done);
  } catch (error) {
    // Whatever stopped the job has set its new state.
    if (lease.signal.aborted || !lease.isHeld()) return;
    const found = inSettings(toldOf(error, troubles));
    const [message, param] = [work.words.named(found), work.words.paramOf(found)];
    const code = error instanceof GraftError ? error.code : "internal_error";
    const failed = await lease.change(
      { status: "failed", finished_at: now(), error: { code, message, param } },
      { level: "error", message: `The job has failed: ${message}` },
    );
    if (failed && (work.isUnpublished || error instanceof StoreAwayError)) await keepRun(failed, options);
  }
}

/** Keeps what a failed job could not put into the store, and tells the operator where. */
async function keepRun(row: JobRow, { files, troubles }: TrainJobOptions): Promise<void> {
  const { id } = row.job;
  try {
    const path = await files.keepRun(id, folderOf(row));
    if (path === null) return;
    troubles.onTrouble(
      new StoreAwayError(
        "failed/store",
        `The store has not accepted the result of ${id}: it is kept in "${path}"`,
      ),
    );
  } catch (error) {
    troubles.onTrouble(error);
  }
}

/** What clients are told of an error; the operator is told the rest, if there is more. */
function toldOf(error: unknown, { onTrouble }: TroubleOptions): string {
  const away = toldOfAway(error);
  if (away === null) return toldWhole(error);
  onTrouble(error);
  return away;
}

/** Stores the table of a job's steps and returns its id. If that fails, the training is not lost. */
async function resultsOf(lease: Lease, { files, now, troubles }: TrainJobOptions): Promise<string[]> {
  try {
    return await keepResults(files, lease.row, now());
  } catch (error) {
    const found = files.withoutPath(toldOf(error, troubles));
    lease.tell({ level: "warn", message: `The table of its steps is not kept: ${found}` });
    return [];
  }
}

async function run(
  taken: TakenJob,
  lease: Lease,
  options: TrainJobOptions,
  work: Work,
): Promise<JobResult | null> {
  const { files, placesOf, share } = options;
  const trouble = new Trouble(options.troubles);
  const stored = <T>(work: () => Promise<T>): Promise<T> => untilStored(lease, trouble, work);
  if (!(await stored(() => bringRun(taken, lease, files)))) return null;
  const publisher = new RunPublisher(
    () => files.publishRun(lease.row.job.id, folderOf(lease.row), () => lease.isHeld()),
    trouble,
  );
  const publish = async (): Promise<void> => {
    work.isUnpublished = true;
    await stored(() => publisher.publish());
    work.isUnpublished = false;
  };
  const places = await stored(() => placesOf(lease.row));
  const words = await stored(() => wordsWith(files, lease.row.job, places));
  work.words = words;
  const settings = jobSettings(lease.row.job, places);
  const used = (epochs: number | null): Hyperparameters =>
    usedHyperparameters(lease.row.job, settings, places, epochs);
  const averaging = averagingOf(lease.row.job);
  const heard = averaging === null ? await heardBefore(lease, files) : new Set<string>();
  const shared = share?.();
  const hooks: TrainHooks = {
    ...hooksOf(lease, options, publisher),
    ...(shared ? { shared } : {}),
    onEvent: (event) => follow(lease, event, { words, used, heard }),
  };
  try {
    if (averaging === null) {
      await tellUnheard(lease, files, words);
      const result = await trainWhole(lease.row, settings, files, hooks);
      await publish();
      return result;
    }
    const { steps } = settings;
    assertInternal(steps !== undefined, "an averaged job without steps was let in");
    const input = { ...settings, steps } as AveragedInput;
    const fetch = (folder: string): Promise<boolean> =>
      stored(() => files.fetchRun(lease.row.job.id, folder));
    const last = await trainPiece({ lease, files, averaging, input, used, hooks, fetch, publish });
    if (last) await publish();
    return last;
  } finally {
    shared?.rest();
    // For whoever continues a training that was stopped.
    await publisher.settled();
  }
}

/** Brings the files of a job's run here, as a copy if a lost worker may still write to them; false: the job is lost. */
async function bringRun({ isFromLost }: TakenJob, lease: Lease, files: StateFolder): Promise<boolean> {
  const { job, token } = lease.row;
  if (!isFromLost) {
    await files.fetchRun(job.id, folderOf(lease.row));
    return true;
  }
  const copy = `${firstFolder(lease.row)}-${token}`;
  await files.copyRun(job.id, folderOf(lease.row), copy);
  return (await lease.change({}, undefined, { folder: copy })) !== null;
}

/** The hooks by which a training obeys its lease and publishes its checkpoints. */
function hooksOf(
  lease: Lease,
  { env, makeSampleWriter, onCheckpoint }: TrainJobOptions,
  publisher: RunPublisher,
): TrainHooks {
  return {
    signal: lease.signal,
    mayWrite: () => lease.isHeld(),
    env,
    makeSampleWriter,
    namesByContent: true,
    fixed: SERVERS,
    onCheckpoint: () => {
      onCheckpoint?.(lease.row);
      publisher.publishSoon();
    },
  };
}

/** The folder in which a held piece was begun. */
function firstFolder({ share }: JobRow): string {
  return share === null ? FIRST_RUN : shareFolder(share);
}

async function trainWhole(
  { job, folder }: JobRow,
  settings: TrainOptions,
  files: StateFolder,
  hooks: TrainHooks,
): Promise<JobResult> {
  const resumes = (await files.listCheckpoints(job.id, folder)).length > 0;
  return await train({ ...settings, resume: resumes, overwrite: !resumes }, hooks);
}
