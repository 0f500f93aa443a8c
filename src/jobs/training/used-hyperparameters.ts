/** @file The hyperparameters that a job trains with where its client has sent "auto" and so left them to the server. */
import { type TrainOptions, objectiveOptions } from "../../train/settings/options.ts";
import { type JobPlaces, objectiveOf, usualRate } from "./job-settings.ts";
import type { Hyperparameters, Job } from "../job.ts";

/** Makes the numbers of a training. `epochs`: passes over the data, shown where the job does not say it; null: not known yet. */
export function usedHyperparameters(
  { hyperparameters: asked }: Job,
  options: TrainOptions,
  { width }: Pick<JobPlaces, "width">,
  epochs: number | null,
): Hyperparameters {
  const { batchSize, learningRate } = options;
  const usual = usualRate(options, width);
  const { beta } = Object(objectiveOptions(options, objectiveOf(options))) as { readonly beta?: unknown };
  return {
    // OpenAI's clients know whole numbers alone.
    n_epochs: asked.n_epochs === "auto" && epochs !== null ? Math.max(1, Math.round(epochs)) : asked.n_epochs,
    batch_size: batchSize,
    learning_rate_multiplier: short((learningRate ?? usual) / usual),
    ...(typeof beta === "number" ? { beta } : {}),
  };
}

/** A job as clients see it: with the hyperparameters that it trains with, as soon as they are known. */
export function shownJob({ used, ...job }: Job): Job {
  if (used == null) return job;
  const { type } = job.method;
  return { ...job, hyperparameters: used, method: { type, [type]: { hyperparameters: used } } };
}

/** Without what division adds behind the fourth digit. */
function short(value: number): number {
  return Number(value.toPrecision(4));
}
