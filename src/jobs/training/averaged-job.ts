/**
 * @file The work of an averaged job, piece by piece (shares.ts): a share's part of a round, or the work between two rounds:
 * making the outer step and opening the next round.
 *
 * A piece depends only on files of finished pieces and on numbers of the table, so any worker gets the same bits.
 */
import { join } from "node:path";
import { checkpointFolder } from "../../format/run-checkpoints.ts";
import type { TrainEvent } from "../../train/events.ts";
import { endRound, finish, readContribution, roundsOf } from "../../train/files/averaged-rounds.ts";
import {
  type AveragedInput,
  drawStart,
  partsFolder,
  partsOf,
  trainContribution,
} from "../../train/files/averaged-training.ts";
import { findShard } from "../../train/files/data/data-shards.ts";
import { readRunState } from "../../train/files/folder/read-checkpoint.ts";
import type { TrainHooks } from "../../train/train-hooks.ts";
import type { Averaging } from "./averaging.ts";
import type { Hyperparameters, JobResult } from "../job.ts";
import type { JobRow, Share, ShareResult } from "../job-table.ts";
import type { Lease } from "../queue/lease.ts";
import { NEW_HOLD, folderOf } from "../queue/shares.ts";
import type { StateFolder } from "../state-folder.ts";

interface AveragedJob {
  readonly lease: Lease;
  readonly files: StateFolder;
  readonly averaging: Averaging;
  /** Settings of each share, without its data and folder; the output is the folder of the job's run. */
  readonly input: AveragedInput;
  /** The settings that clients see; `epochs` null: not known yet. */
  readonly used: (epochs: number | null) => Hyperparameters;
  readonly hooks: TrainHooks;
  /** Brings a run of the job here as it was published. */
  readonly fetch: (folder: string) => Promise<boolean>;
  /** Publishes what the piece has written. */
  readonly publish: () => Promise<void>;
}

/** Does a piece; returns null unless it was the last. @throws as `train` */
export async function trainPiece(job: AveragedJob): Promise<JobResult | null> {
  const { share } = job.lease.row;
  if (share === null) return await betweenRounds(job);
  await trainShare(job, share);
  return null;
}

async function trainShare(
  { lease, files, averaging, input, hooks, fetch, publish }: AveragedJob,
  share: number,
): Promise<void> {
  const { row } = lease;
  const rounds = roundsOf(input, averaging.syncEvery);
  const round = rounds[row.round]!;
  await fetch(row.folder);
  const data = averaging.shares === 1 ? input.data : await findShard(partsFolder(input.output), share);
  const own = { ...input, data, output: files.runFolder(row.job.id, folderOf(row)) };
  const what = `Round ${row.round + 1}/${rounds.length}, share ${share + 1}/${averaging.shares}`;
  let epochs = 0;
  const onEvent = (event: TrainEvent): void => {
    if (event.event === "start") epochs = event.total_steps / event.steps_per_epoch;
    // Steps that a lost worker has already reported come out the same and are not reported again.
    if (event.event !== "step" || event.step <= row.maxSteps) return;
    const { step, loss } = event;
    const data = { round: row.round + 1, share: share + 1, share_step: step, train_loss: loss };
    lease.tell(
      { message: `${what}, step ${step}/${input.steps}: training loss=${loss.toFixed(2)}`, data },
      step,
    );
  };
  const { weight: examples } = await trainContribution(own, round, { ...hooks, onEvent });
  const state = await readRunState(join(own.output, checkpointFolder(round.until)), round.until);
  const loss = Number(state.log_history.findLast(({ event }) => event === "step")?.["loss"]);
  await publish();
  const done: ShareResult = { examples, epochs, tokens: state.trained_tokens, loss };
  await lease.change({}, { message: `${what} has ended` }, { done });
}

async function betweenRounds({
  lease,
  files,
  averaging,
  input,
  used,
  hooks,
  fetch,
  publish,
}: AveragedJob): Promise<JobResult | null> {
  const { row } = lease;
  const rounds = roundsOf(input, averaging.syncEvery);
  const results = row.shares.map(({ done }) => done!);
  const ended = results.length === 0 ? 0 : row.round + 1;
  const loss = meanOf(results, "loss");
  if (ended === 0) {
    const [data] = await partsOf(input, averaging.shares);
    await drawStart({ ...input, data: data! }, hooks);
  } else {
    const round = rounds[row.round]!;
    const contributions = [];
    for (const { folder, done } of row.shares) {
      await fetch(folder);
      contributions.push(await readContribution(files.runFolder(row.job.id, folder), round, done!.examples));
    }
    await endRound(input.output, round, contributions, { ...averaging, keepLast: input.keepLast });
    hooks.onCheckpoint?.();
  }
  const step = ended === 0 ? 0 : rounds[row.round]!.until;
  const data = { step, total_steps: input.steps, round: ended, train_loss: loss };
  const told =
    ended === 0
      ? { message: `Training has started: ${rounds.length} rounds of ${averaging.shares} shares` }
      : { message: `Round ${ended}/${rounds.length} finished: training loss=${loss?.toFixed(2)}`, data };
  const change = { status: "running", used: used(meanOf(results, "epochs")) } as const;
  if (ended === rounds.length) {
    await finish(input.output, input.steps);
    // An earlier worker may have been lost after it reported this.
    const isTold = (await lease.toldOf([step])).some(({ message }) => message === told.message);
    await lease.change(change, isTold ? undefined : told);
    const tokens = results.reduce((sum, result) => sum + result.tokens, 0);
    return { last_loss: loss, held_out_loss: null, steps: input.steps, trained_tokens: tokens };
  }
  await publish();
  await lease.change(change, told, { round: ended, shares: nextShares(row, averaging.shares) });
  return null;
}

/** Shares of the next round. A worker that still works on one of the last round has lost it. */
function nextShares({ shares }: JobRow, numShares: number): Share[] {
  return Array.from({ length: numShares }, (_, i) => {
    const before = shares[i];
    if (!before) return { ...NEW_HOLD, folder: shareFolder(i), done: null };
    return { ...before, token: before.token + 1, numLost: 0, done: null };
  });
}

/** The first folder of a share. */
export function shareFolder(share: number): string {
  return `share-${share + 1}`;
}

/** The mean, weighted by examples as the adapters are; null: no share has been trained yet. */
function meanOf(results: readonly ShareResult[], key: "epochs" | "loss"): number | null {
  const examples = results.reduce((sum, result) => sum + result.examples, 0);
  if (examples === 0) return null;
  return results.reduce((sum, result) => sum + (result.examples / examples) * result[key], 0);
}
