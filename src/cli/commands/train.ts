/** @file `graft train`: fine-tunes a model on the user's data. */
import { DEFAULT_MODEL } from "../../hub/resolve.ts";
import { TRAIN_OPTIONS, findTrainProblems } from "../../train/settings/options.ts";
import type { TrainInput } from "../../train/settings/train-input.ts";
import { NAMED_DATA, TRAIN_GROUPS } from "../../train/settings/setting-groups.ts";
import { defineCommand } from "../command.ts";
import { TRAIN_CHOOSERS } from "../training/train-choosers.ts";

export const command = defineCommand({
  example: "npx graft train --data chats.jsonl --eval-data held-out.jsonl --output runs/mine",
  positionals: [],
  options: TRAIN_OPTIONS.extend({ model: TRAIN_OPTIONS.shape.model.default(DEFAULT_MODEL), ...NAMED_DATA }),
  groups: TRAIN_GROUPS,
  choosers: TRAIN_CHOOSERS,
  findProblems: (values, form) => findTrainProblems({ model: DEFAULT_MODEL, ...values }, form),
  async run(options, io, given) {
    // Imported here, since the help does not need them.
    const [{ trainWithProgress }, { doneLines }] = await Promise.all([
      import("../training/train-run.ts"),
      import("../training/run-report.ts"),
    ]);
    const result = await trainWithProgress(options as TrainInput, io, { given });
    for (const line of doneLines(result, result.nextCommand)) io.stdout(line);
  },
});
