/** @file Turns the events of a training into events of its job. */
import type { TrainEvent } from "../../train/events.ts";
import type { Hyperparameters } from "../job.ts";
import type { LoggedEvent } from "../logged-event.ts";
import type { Telling } from "../queue/job-queue.ts";
import { inSettings } from "./job-settings.ts";
import type { JobWords } from "./job-words.ts";
import type { Lease } from "../queue/lease.ts";
import type { StateFolder } from "../state-folder.ts";

/** How the events of a training become events of its job. */
interface JobTelling {
  readonly words: JobWords;
  /** The hyperparameters for a given number of epochs. */
  readonly used: (epochs: number) => Hyperparameters;
  /** Messages that have already been reported. */
  readonly heard: ReadonlySet<string>;
}

/** Reports an event of a training. */
export function follow(lease: Lease, event: TrainEvent, { words, used, heard }: JobTelling): void {
  if (event.event === "start") {
    const { total_steps, steps_per_epoch, examples, trainable_parameters } = event;
    // If the job is lost, its training is stopped anyway. Other errors are reported elsewhere, and fail the job at its end if
    // they persist.
    lease
      .change(
        { status: "running", used: used(total_steps / steps_per_epoch) },
        { message: "Training has started", data: { total_steps, examples, trainable_parameters } },
      )
      .catch(() => {});
    return;
  }
  tell(lease, event, words, heard);
}

/**
 * Messages about steps that are repeated because no checkpoint contains them: the last worker was lost, or had no time to write
 * one. They come out the same and are not reported twice.
 */
export async function heardBefore(lease: Lease, files: StateFolder): Promise<ReadonlySet<string>> {
  const { job, folder, maxSteps } = lease.row;
  const kept = (await files.listCheckpoints(job.id, folder)).at(-1)?.step ?? 0;
  const steps = Array.from({ length: Math.max(0, maxSteps - kept) }, (_, i) => kept + 1 + i);
  if (steps.length === 0) return new Set();
  return new Set((await lease.toldOf(steps)).map(({ message }) => message));
}

/** Reports events in the checkpoint of an earlier worker that was lost or killed before it could report them. */
export async function tellUnheard(lease: Lease, files: StateFolder, words: JobWords): Promise<void> {
  const { job, folder, maxSteps } = lease.row;
  for (const event of await files.readHistory(job.id, folder)) {
    if (event.step > maxSteps) tell(lease, event, words);
  }
}

function tell(
  lease: Lease,
  event: TrainEvent | LoggedEvent,
  { named }: JobWords,
  heard?: ReadonlySet<string>,
): void {
  const telling = tellingOf(event);
  if (!telling) return;
  const message = named(telling.message);
  if (heard?.has(message) === true) return;
  lease.tell({ ...telling, message }, event.event === "step" ? event.step : undefined);
}

function tellingOf(event: TrainEvent | LoggedEvent): Telling | null {
  switch (event.event) {
    case "step":
      return {
        message: `Step ${event.step}/${event.total_steps}: training loss=${event.loss.toFixed(2)}`,
        data: {
          step: event.step,
          total_steps: event.total_steps,
          train_loss: event.loss,
          learning_rate: event.learning_rate,
        },
      };
    case "eval":
      return {
        message: `Step ${event.step}: validation loss=${event.loss.toFixed(2)}`,
        data: {
          step: event.step,
          full_valid_loss: event.loss,
          full_valid_mean_token_accuracy: event.token_accuracy,
        },
      };
    case "note":
      return { level: event.level, message: inSettings(event.message) };
    case "sample": {
      const { step, index, prompt, text, tokens } = event;
      return {
        message: `Step ${step}: sample ${index}: ${text}`,
        data: { sample: { step, index, prompt, text, tokens } },
      };
    }
    case "resume":
      return { message: `Resuming after step ${event.step}` };
    case "start":
    case "read":
    case "fit":
    case "done":
  }
  return null;
}
