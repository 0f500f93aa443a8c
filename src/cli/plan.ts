/** @file `graft plan`: what a run will need in memory, before any weight is read. */
import { DEFAULT_MODEL } from "../hub/resolve.ts";
import { openRun, settleRun } from "../train/files/prepare.ts";
import { planRun } from "../train/files/setup.ts";
import {
  NAMED_DATA,
  TRAIN_GROUPS,
  TRAIN_OPTIONS,
  type TrainOptions,
  findTrainProblems,
} from "../train/options.ts";
import { defineCommand } from "./command.ts";
import { formatBytes } from "../messages/numbers.ts";
import { pullWithProgress } from "./pull.ts";
import { ReadingBar } from "./reading.ts";
import { TRAIN_CHOOSERS } from "./train.ts";

const DEFAULT_OUTPUT = "runs/mine";
const LABEL_WIDTH = 14;

export const command = defineCommand({
  example: "npx graft plan --data chats.jsonl --max-length 1024",
  positionals: [],
  options: TRAIN_OPTIONS.extend({
    model: TRAIN_OPTIONS.shape.model.default(DEFAULT_MODEL),
    output: TRAIN_OPTIONS.shape.output.default(DEFAULT_OUTPUT),
    ...NAMED_DATA,
  }),
  groups: TRAIN_GROUPS,
  choosers: TRAIN_CHOOSERS,
  findProblems: (values, form) =>
    findTrainProblems({ model: DEFAULT_MODEL, output: DEFAULT_OUTPUT, ...values }, form),
  async run(flags, io) {
    const options = flags as TrainOptions;
    await pullWithProgress(options.model, io);
    const reading = new ReadingBar(io);
    const opened = await openRun(options, undefined, {
      signal: io.signal,
      env: io.env,
      onProgress: ({ file, numRows, totalRows }) => reading.update({ file, numRows, totalRows }),
    }).finally(() => reading.stop());
    try {
      const memory = planRun(settleRun(opened, options));
      const rows = {
        weights: memory.weightsBytes + memory.stemAndHeadBytes,
        trained: memory.trainableBytes,
        activations: memory.activationsBytes,
        scratch: memory.scratchBytes,
        peak: memory.totalBytes,
      };
      for (const [label, bytes] of Object.entries(rows))
        io.stdout(label.padEnd(LABEL_WIDTH) + formatBytes(bytes));
      io.emit({ event: "plan", bytes: rows, gradient_checkpointing: memory.recompute });
    } finally {
      await opened.checkpoint.close();
    }
  },
});
