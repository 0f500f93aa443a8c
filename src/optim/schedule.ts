/**
 * @file The contract of a learning-rate schedule. Conventions are those of Hugging Face's schedules.
 *
 * Adding one: a line in `schedules.ts`.
 */

/** A learning-rate schedule. */
export interface Schedule {
  readonly name: string;
  /** Share of the run's steps that are warm-up unless the user says. */
  readonly warmupShare: number;
  /**
   * Share of the peak learning rate, in [0, 1], for a step counted from 0. The first `warmupSteps` rise from 0 by equal
   * amounts; the step `totalSteps` would be the first after the run.
   */
  factor(step: number, totalSteps: number, warmupSteps: number): number;
}
