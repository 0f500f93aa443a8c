/** @file Settings of a training for which the help shows only the options of the chosen kind. */
import { OPTIMIZERS } from "../../optim/optimizers.ts";
import { METHODS } from "../../peft/methods.ts";
import { OBJECTIVES } from "../../train/objectives.ts";
import type { Chooser } from "../command.ts";

export const TRAIN_CHOOSERS: readonly Chooser[] = [
  { key: "method", kinds: METHODS },
  { key: "optimizer", kinds: OPTIMIZERS },
  { key: "objective", kinds: OBJECTIVES },
];
