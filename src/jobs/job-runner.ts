/**
 * @file Runs fine-tuning jobs one after another on the model that is being served.
 *
 * What a job has done is in its run folder, and where it stands in the store, which is written before anything is told. A
 * process that ends leaves jobs that were running; the next one goes on from their last checkpoints, bit for bit as if
 * nothing had happened.
 */
import { GraftError } from "../errors.ts";
import type { TrainEvent } from "../train/events.ts";
import { type SharedModel, train } from "../train/trainer.ts";
import { type Job, type JobEvent, type JobStatus, hasEnded } from "./job.ts";
import { type JobPlaces, jobSettings } from "./job-settings.ts";
import type { JobStore } from "./job-store.ts";

export interface JobRunnerOptions {
  readonly store: JobStore;
  /** Begins a training's part on the shared session, to be ended. */
  readonly share: () => SharedModel & { readonly end: () => void };
  /** Where a job trains from and to. @throws what is wrong with the job */
  readonly placesOf: (job: Job) => Promise<JobPlaces>;
  /** Is told of a job that has succeeded, and of one that had when the process began. */
  readonly onResult: (job: Job) => Promise<void>;
  /** In seconds. */
  readonly now: () => number;
  readonly newId: () => string;
  /** Name of what a job makes. */
  readonly nameOf: (job: Job) => string;
  /** Environment of trainings. */
  readonly env: NodeJS.ProcessEnv;
}

export class JobRunner {
  readonly #options: JobRunnerOptions;
  #running: { readonly id: string; readonly stop: AbortController } | null = null;
  #loop: Promise<void> | null = null;
  #isClosed = false;
  /** Settled when all changes so far are written. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: JobRunnerOptions) {
    this.#options = options;
  }

  /** Takes up what an earlier process has left. */
  async start(): Promise<void> {
    const { store, onResult } = this.#options;
    for (const job of await store.listJobs()) {
      if (job.status === "succeeded") await onResult(job);
      // A job that is being validated or runs has lost its process.
      if (job.status === "running" || job.status === "validating_files") {
        await this.#change(job.id, { status: "queued" }, "The server was started again; the job goes on");
      }
    }
    this.#wake();
  }

  /** Puts a new job into the queue. */
  async submit(job: Job): Promise<void> {
    await this.#options.store.writeJob(job);
    await this.#tell(job.id, "info", `Created fine-tuning job: ${job.id}`);
    this.#wake();
  }

  /** Ends a job; what it has trained stays in its folder. Null: it has ended before. */
  cancel(id: string): Promise<Job | null> {
    return this.#stop(id, { status: "cancelled", finished_at: this.#options.now() });
  }

  /** Stops a job until it is resumed. Null: it has ended before. */
  pause(id: string): Promise<Job | null> {
    return this.#stop(id, { status: "paused" });
  }

  /** Null: it has ended before. */
  async resume(id: string): Promise<Job | null> {
    const queued = await this.#change(id, { status: "queued" }, "The job goes on");
    this.#wake();
    return queued;
  }

  async #stop(id: string, change: Partial<Job>): Promise<Job | null> {
    const changed = await this.#change(id, change, `The job is ${change.status}`);
    if (changed && this.#running?.id === id) this.#running.stop.abort();
    return changed;
  }

  #wake(): void {
    if (this.#isClosed) return;
    this.#loop ??= this.#run().finally(() => {
      this.#loop = null;
    });
  }

  async #run(): Promise<void> {
    for (;;) {
      const jobs = await this.#options.store.listJobs();
      const next = jobs.find(({ status }) => status === "queued");
      if (!next || this.#isClosed) return;
      await this.#train(next);
    }
  }

  async #train(queued: Job): Promise<void> {
    const { store, share, placesOf, onResult, now, nameOf, env } = this.#options;
    const { id } = queued;
    const stop = new AbortController();
    this.#running = { id, stop };
    const shared = share();
    const told = { trainedTokens: 0 };
    try {
      const validating = { status: "validating_files" } as const;
      if (!(await this.#change(id, validating, "Validating the files", null, ["queued"]))) return;
      const settings = jobSettings(queued, await placesOf(queued));
      const resumes = (await store.listCheckpoints(id)).length > 0;
      const result = await train(
        { ...settings, resume: resumes, overwrite: !resumes },
        { shared, signal: stop.signal, env, onEvent: (event) => this.#follow(id, event, told) },
      );
      const succeeded = {
        status: "succeeded",
        finished_at: now(),
        fine_tuned_model: nameOf(queued),
        trained_tokens: told.trainedTokens,
      } as const;
      const { last_loss: loss, held_out_loss: heldOut, steps } = result;
      const done = await this.#change(id, succeeded, `The job has succeeded: ${nameOf(queued)}`, {
        train_loss: loss,
        valid_loss: heldOut,
        total_steps: steps,
      });
      if (done) await onResult(done);
    } catch (error) {
      // Who stopped it has said what it is now.
      if (stop.signal.aborted) return;
      const message = error instanceof Error ? error.message : String(error);
      const code = error instanceof GraftError ? error.code : "internal_error";
      await this.#change(
        id,
        { status: "failed", finished_at: now(), error: { code, message, param: null } },
        `The job has failed: ${message}`,
      );
    } finally {
      shared.end();
      this.#running = null;
    }
  }

  /** Writes what a training tells. */
  #follow(id: string, event: TrainEvent, told: { trainedTokens: number }): void {
    const write = async (): Promise<void> => {
      switch (event.event) {
        case "start":
          await this.#change(
            id,
            { status: "running" },
            "The training has begun",
            {
              total_steps: event.total_steps,
              examples: event.examples,
              trainable_parameters: event.trainable_parameters,
            },
            ["validating_files"],
          );
          break;
        case "step":
          told.trainedTokens += event.tokens;
          await this.#tell(
            id,
            "info",
            `Step ${event.step}/${event.total_steps}: training loss=${event.loss.toFixed(2)}`,
            {
              step: event.step,
              total_steps: event.total_steps,
              train_loss: event.loss,
              learning_rate: event.learning_rate,
            },
          );
          break;
        case "eval":
          await this.#tell(id, "info", `Step ${event.step}: validation loss=${event.loss.toFixed(2)}`, {
            step: event.step,
            full_valid_loss: event.loss,
          });
          break;
        case "note":
          await this.#tell(id, "warn", event.message);
          break;
        case "sample":
          await this.#tell(id, "info", `Step ${event.step}: sample ${event.index}: ${event.text}`);
          break;
        case "resume":
          await this.#tell(id, "info", `Going on after step ${event.step}`);
          break;
        case "read":
        case "done":
          break;
      }
    };
    // What cannot be told does not end a training; what it is will be written at its end, or fail there.
    write().catch(() => {});
  }

  /**
   * Changes a job, one change after the other; null: it has ended, or is not as it must be. `from`: what it may be.
   */
  #change(
    id: string,
    change: Partial<Job>,
    message: string,
    data: Record<string, unknown> | null = null,
    from?: readonly JobStatus[],
  ): Promise<Job | null> {
    return this.#inOrder(async () => {
      const job = await this.#options.store.readJob(id);
      if (!job || hasEnded(job) || (from && !from.includes(job.status))) return null;
      const changed = { ...job, ...change };
      await this.#options.store.writeJob(changed);
      await this.#addEvent(id, change.status === "failed" ? "error" : "info", message, data);
      return changed;
    });
  }

  #tell(
    id: string,
    level: JobEvent["level"],
    message: string,
    data: Record<string, unknown> | null = null,
  ): Promise<void> {
    return this.#inOrder(() => this.#addEvent(id, level, message, data));
  }

  async #addEvent(
    id: string,
    level: JobEvent["level"],
    message: string,
    data: Record<string, unknown> | null,
  ): Promise<void> {
    const { store, now, newId } = this.#options;
    await store.addEvent(id, {
      id: `ftevent-${newId()}`,
      object: "fine_tuning.job.event",
      created_at: now(),
      level,
      message,
      type: data && "step" in data ? "metrics" : "message",
      data,
    });
  }

  #inOrder<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => {});
    return done;
  }

  /** Stops the training that runs, after its step, with a checkpoint: the next process goes on. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#running?.stop.abort();
    await this.#loop;
    await this.#last;
  }
}
