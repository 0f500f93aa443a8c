/** @file The entry point of training for programs that also include the engine, so that trainings can write samples. */
import type { Method } from "../peft/method.ts";
import type { Objective } from "../train/objective.ts";
import type { LooseTrainInput } from "../train/settings/options.ts";
import type { TrainInput } from "../train/settings/train-input.ts";
import { type TrainResult, train as trainAlone } from "../train/trainer.ts";
import { checkArguments } from "../messages/arguments.ts";
import { HOOKS, type TrainHooks } from "../train/train-hooks.ts";
import { makeSampleWriter } from "./sample-writer.ts";

/**
 * Fine-tunes a model and writes the result to a folder.
 * @throws UsageError, FormatError, CapacityError before anything is written; FailedError "train/nan",
 * "train/no-movement", "train/stopped" later, with the last good checkpoint in place.
 */
export function train(input: TrainInput, hooks?: TrainHooks): Promise<TrainResult>;
/**
 * Fine-tunes by one of `methods` and `objectives`, which may be your own with their own options. @throws as the form without them
 */
export function train(
  input: LooseTrainInput,
  hooks: TrainHooks &
    ({ readonly methods: readonly Method[] } | { readonly objectives: readonly Objective[] }),
): Promise<TrainResult>;
export async function train(input: LooseTrainInput, hooks: TrainHooks = {}): Promise<TrainResult> {
  checkArguments("train", HOOKS, { hooks });
  return await trainAlone(input, { makeSampleWriter, ...hooks });
}
