/** @file The hyperparameters that a job trains with where its client sent "auto", leaving the choice to the server. */
import { type TrainOptions, objectiveOptions } from "../../train/settings/options.ts";
import { type JobPlaces, objectiveOf, usualRate } from "./job-settings.ts";
import type { Hyperparameters, Job } from "../job.ts";

/** Computes the values of a training. `epochs`: passes over the data, shown if the job does not say it; null: not known yet. */
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

/** Rounds to four digits, to hide the noise of a division. */
function short(value: number): number {
  return Number(value.toPrecision(4));
}
