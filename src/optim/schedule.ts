/**
 * @file The contract of a learning-rate schedule. Conventions are those of Hugging Face's schedules.
 *
 * To add one: a line in `schedules.ts`.
 */

/** A learning-rate schedule. */
export interface Schedule {
  readonly name: string;
  /** Default share of the run's steps that are warm-up. */
  readonly warmupShare: number;
  /**
   * Share of the peak learning rate, in [0, 1], for a step counted from 0. The first `warmupSteps` rise from 0 by equal amounts;
   * step `totalSteps` would be the first after the run.
   */
  factor(step: number, totalSteps: number, warmupSteps: number): number;
}
