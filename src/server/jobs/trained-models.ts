/** @file The results and checkpoints of jobs as adapters that requests use by name, whichever server trained them. */
import { mayBeOneBase } from "../../models/base/fingerprint.ts";
import type { JobQueue } from "../../jobs/queue/job-queue.ts";
import type { JobRow } from "../../jobs/job-table.ts";
import { type Job, type JobCheckpoint, NOT_ENDED, hasEnded } from "../../jobs/job.ts";
import type { StateFolder } from "../../jobs/state-folder.ts";
import { ApiError } from "../api-error.ts";
import { RESULT_START, checkpointName, checkpointPrefix, idStartOf, resultName } from "./result-names.ts";
import type { ServerState } from "../server-state.ts";

interface TrainedModelsParts {
  readonly queue: JobQueue;
  readonly files: StateFolder;
  /** Fingerprint of the base; results for another base are not served here. */
  readonly base: string;
}

export class TrainedModels {
  readonly #state: ServerState;
  readonly #parts: TrainedModelsParts;
  /** Ended jobs whose names are up to date, each with its number of removals at that time. */
  readonly #known = new Map<string, number>();
  /** Jobs that other processes train, and of which a checkpoint was requested. */
  readonly #followed = new Set<string>();
  /** Updates of names run one after another, so that an older list never replaces a newer one. */
  #naming: Promise<void> = Promise.resolve();

  constructor(state: ServerState, parts: TrainedModelsParts) {
    this.#state = state;
    this.#parts = parts;
  }

  /** Makes all that a job has trained so far available by name, to be read at first use, and forgets what has been removed. */
  name(row: JobRow): Promise<void> {
    const named = this.#naming.then(() => this.#name(row));
    this.#naming = named.catch(() => {});
    return named;
  }

  async #name(row: JobRow): Promise<void> {
    const { job, folder } = row;
    const { files } = this.#parts;
    const paths = new Map<string, string>();
    if (await files.fetchRun(job.id, folder)) {
      if (job.status === "succeeded") paths.set(resultOf(job), files.runFolder(job.id, folder));
      // A checkpoint that cannot be listed is not served.
      const found = await trainedCheckpoints(files, row).catch(() => []);
      for (const { step, path } of found) paths.set(checkpointName(job, step), path);
    }
    for (const { name, path } of this.#state.model.engine.adapters.list()) {
      if (!isOfJob(name, job)) continue;
      // A worker that continues the run of a lost worker does so in a copy, so the path may have changed.
      if (paths.get(name) === path) paths.delete(name);
      else this.#state.models.forget(name);
    }
    for (const [name, path] of paths) {
      if (!this.#state.models.isWithdrawn(name))
        this.#state.models.register(name, path, job.finished_at ?? undefined);
    }
  }

  /** Makes available what earlier processes left of jobs that have not ended. */
  async nameUnfinished(): Promise<void> {
    const rows = await this.#parts.queue.table.list({ statuses: NOT_ENDED });
    const left = rows.filter((row) => this.#isOwn(row));
    const named = await Promise.allSettled(left.map((row) => this.name(row)));
    const fault = named.find(({ status }) => status === "rejected");
    if (fault?.status === "rejected") throw fault.reason;
  }

  /** Makes available what jobs have newly trained, and forgets what was removed, on any server. */
  async refresh(): Promise<void> {
    const { table } = this.#parts.queue;
    const faults: unknown[] = [];
    const ended = await table.listEnded();
    const fresh = [...ended].filter(([id, removals]) => this.#known.get(id) !== removals);
    for (const id of new Set([...fresh.map(([id]) => id), ...this.#followed])) {
      const row = await table.read(id);
      try {
        if (row && this.#isOwn(row)) await this.name(row);
        if (!row || hasEnded(row.job)) this.#followed.delete(id);
        // A job without a readable row is not asked for again.
        if (!row || hasEnded(row.job)) this.#known.set(id, row?.removals ?? ended.get(id) ?? 0);
      } catch (error) {
        // A job that cannot be read does not delay the others.
        faults.push(error);
      }
    }
    if (faults.length > 0) throw faults[0];
  }

  /** Makes the result of a job available by this name, if there is one; it may be known already, or have been removed elsewhere. */
  async find(name: string): Promise<void> {
    if (!name.startsWith(RESULT_START)) return;
    const known = this.#state.model.engine.adapters.list().find((each) => each.name === name);
    // If the file cannot be checked now, the adapter may still be in memory.
    if (known && (await this.#parts.files.has(known.path).catch(() => true))) return;
    const row = await this.#jobOf(name);
    if (!row) return;
    if (!hasEnded(row.job)) this.#followed.add(row.job.id);
    await this.name(row);
  }

  /** Whether a name is that of what a job trains, or has trained. */
  async owns(name: string): Promise<boolean> {
    return (await this.#jobOf(name)) !== null;
  }

  /** Makes the result of a job available again by a name that an operator has unloaded. */
  async giveBack(name: string): Promise<void> {
    this.#state.models.giveBack(name);
    await this.find(name);
  }

  /**
   * Removes the result of a job by name; false: no job has trained it.
   * @throws ApiError 409 for one that an unfinished job trains or continues from
   */
  async remove(name: string): Promise<boolean> {
    const { files, queue } = this.#parts;
    const row = await this.#jobOf(name);
    if (!row) return false;
    requireUnused(name, await queue.table.list({ statuses: NOT_ENDED }));
    const { job, folder } = row;
    const prefix = checkpointPrefix(job);
    if (name.startsWith(prefix)) {
      await files.removeCheckpoint(job.id, folder, Number(name.slice(prefix.length)));
    } else await files.removeRuns(job.id);
    await queue.noteRemoval(job.id);
    await this.name(row);
    return true;
  }

  async #jobOf(name: string): Promise<JobRow | null> {
    const idStart = idStartOf(name);
    if (idStart === null) return null;
    const rows = await this.#parts.queue.table.list({ idStart });
    return rows.find((row) => this.#isOwn(row) && isOfJob(name, row.job)) ?? null;
  }

  #isOwn({ base }: JobRow): boolean {
    return mayBeOneBase(this.#parts.base, base);
  }
}

function resultOf(job: Job): string {
  return job.fine_tuned_model ?? resultName(job);
}

/** Whether a name is that of a job's result, or of one of its checkpoints. */
function isOfJob(name: string, job: Job): boolean {
  return name === resultOf(job) || name.startsWith(checkpointPrefix(job));
}

/** A result is removed with its checkpoints. `rows`: jobs that have not ended. */
function requireUnused(name: string, rows: readonly JobRow[]): void {
  const isOf = (model: string): boolean => model === name || model.startsWith(`${name}:`);
  const user = rows.find(({ job }) => isOfJob(name, job) || isOf(job.model))?.job;
  if (user === undefined) return;
  const use = isOfJob(name, user) ? `trains "${name}"` : `continues from "${user.model}"`;
  const message = `The job "${user.id}" ${use}: wait for it to end, or cancel it`;
  throw new ApiError(409, "model_in_use", message, { param: "model" });
}

/** Lists the checkpoints that can be requested, in order; before its first step a job has learned nothing. */
export async function trainedCheckpoints(
  files: StateFolder,
  { job, folder }: JobRow,
): Promise<JobCheckpoint[]> {
  return (await files.listCheckpoints(job.id, folder)).filter(({ step }) => step > 0);
}
