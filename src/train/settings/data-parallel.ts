/** @file The setting for how many micro-batches of a step run at once, and which settings it excludes. */
import { z } from "zod";
import { UsageError } from "../../errors.ts";
import { findActivationForm } from "../activations/forms.ts";

/** The engine runs at most this many programs on other threads at a time. */
const MAX_LANES = 4;

export const DATA_PARALLEL = z
  .int()
  .min(1)
  .max(MAX_LANES)
  .optional()
  .describe(
    "Micro-batches of a step that run at once, each with its share of the threads and its own activations (docs/training.md); default: 1",
  );

/** Settings that decide whether several can run at once. */
interface StepSettings {
  readonly dataParallel?: number | undefined;
  readonly gradientAccumulationSteps: number;
  readonly residentMemory?: string | undefined;
  readonly activations: string;
  readonly power?: string | undefined;
  readonly powerSchedule?: string | undefined;
}

/** If several micro-batches run at once, refuses settings that need one pass at a time. @throws UsageError "usage/flag" */
export function requireManyAtOnce(options: StepSettings): void {
  const { dataParallel = 1, gradientAccumulationSteps } = options;
  if (dataParallel === 1) return;
  const refuse = (found: string, hint: string): never => {
    throw new UsageError("usage/flag", `Cannot run ${dataParallel} micro-batches at once: ${found}`, {
      hint,
    });
  };
  if (gradientAccumulationSteps < dataParallel) {
    refuse(
      `a step has ${gradientAccumulationSteps}, expected at least as many`,
      `Give --gradient-accumulation-steps ${dataParallel}, and reduce --batch-size accordingly.`,
    );
  }
  if (options.residentMemory !== undefined)
    refuse("--resident-memory supports only one", "Leave out --data-parallel or --resident-memory.");
  if (findActivationForm(options.activations).usesDisk)
    refuse(
      `--activations ${options.activations} supports only one`,
      "Leave out --data-parallel or --activations.",
    );
  if ((options.power ?? options.powerSchedule) !== undefined)
    refuse("pauses support only one", "Leave out --data-parallel or --power.");
}
