/** @file The entry point of training for programs that have the engine as well, which can then write samples. */
import type { TrainInput } from "../train/settings/options.ts";
import { type TrainResult, train as trainAlone } from "../train/trainer.ts";
import { checkArguments } from "../messages/arguments.ts";
import { HOOKS, type TrainHooks } from "../train/train-hooks.ts";
import { makeSampleWriter } from "./sample-writer.ts";

/** Fine-tunes a model and writes the result to a folder. @throws as `train` of train/trainer */
export async function train(input: TrainInput, hooks: TrainHooks = {}): Promise<TrainResult> {
  checkArguments("train", HOOKS, { hooks });
  return await trainAlone(input, { makeSampleWriter, ...hooks });
}
