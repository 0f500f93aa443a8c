/** @file `graft plan`: predicts memory and time of a run, even without weights or data, and finds settings that fit. */
import { DEFAULT_MODEL } from "../../hub/resolve.ts";
import { openOutlined } from "../../format/by-path.ts";
import { OUTLINE_SOURCES } from "../../hub/sources.ts";
import { longestRows } from "../../train/files/data/longest-rows.ts";
import { fitRun } from "../../train/files/setup/fit-run.ts";
import { openRun } from "../../train/files/setup/prepare.ts";
import { ratesOf } from "../../train/files/setup/rates-file.ts";
import { TRAIN_OPTIONS, type TrainOptions, findTrainProblems } from "../../train/settings/options.ts";
import { NAMED_DATA, TRAIN_GROUPS } from "../../train/settings/setting-groups.ts";
import { defineCommand } from "../command.ts";
import { FittingBar } from "../training/fitting-bar.ts";
import { warn } from "../report.ts";
import { planEvent, planLines, trainWords } from "../training/plan-report.ts";
import { pullWithProgress } from "../model/pull-model.ts";
import { ReadingBar } from "../data/reading.ts";
import { TRAIN_CHOOSERS } from "../training/train-choosers.ts";

const DEFAULT_OUTPUT = "runs/mine";
/** Placeholder in the printed command for data that are not given. */
const NO_DATA = "FILE";

export const command = defineCommand({
  example: "npx graft plan --data chats.jsonl --max-length 1024 --memory 2GB",
  positionals: [],
  options: TRAIN_OPTIONS.extend({
    model: TRAIN_OPTIONS.shape.model.default(DEFAULT_MODEL),
    output: TRAIN_OPTIONS.shape.output.default(DEFAULT_OUTPUT),
    ...NAMED_DATA,
    data: NAMED_DATA.data
      .optional()
      .describe(
        `${NAMED_DATA.data.description}; without it, all rows are assumed to have --max-length tokens`,
      ),
  }),
  groups: TRAIN_GROUPS,
  choosers: TRAIN_CHOOSERS,
  findProblems: (values, form) =>
    findTrainProblems({ model: DEFAULT_MODEL, output: DEFAULT_OUTPUT, data: NO_DATA, ...values }, form),
  async run(flags, io, given) {
    const hasData = flags.data !== undefined;
    // Without data the number of steps in an epoch is unknown.
    const ofOneStep = { data: NO_DATA, ...(flags.epochs === undefined && { steps: flags.steps ?? 1 }) };
    const options = { ...flags, ...(hasData ? {} : ofOneStep) } as TrainOptions;
    await pullWithProgress(options.model, io, { sources: OUTLINE_SOURCES });
    const reading = new ReadingBar(io);
    const opened = await openRun(options, undefined, {
      signal: io.signal,
      env: io.env,
      open: openOutlined,
      sources: OUTLINE_SOURCES,
      makeData: hasData ? undefined : longestRows,
      onProgress: (progress) => reading.update(progress),
    }).finally(() => reading.stop());
    try {
      const fitting = new FittingBar(io);
      const fitted = await fitRun(opened, given, {
        signal: io.signal,
        onProgress: ({ numPlans, totalPlans }) => {
          fitting.update({ numPlans, totalPlans });
          io.emit({ event: "fit", plans: numPlans, total_plans: totalPlans });
        },
      }).finally(() => fitting.stop());
      const measured = await ratesOf(io.env, options.threads);
      // The chosen settings replace --memory, gradient checkpointing too, which would otherwise depend on the memory that is
      // free at that time.
      const { gradientCheckpointing } = fitted.prepared.options;
      const chosen = options.memory === undefined ? {} : { ...fitted.chosen, gradientCheckpointing };
      const keys = new Set([...(hasData ? [] : ["data"]), "output", ...given, ...Object.keys(chosen)]);
      keys.delete("memory");
      const settings = { ...options, ...chosen } as TrainOptions;
      const plan = { fitted, measured, words: ["npx", "graft", "train", ...trainWords(settings, keys)] };
      const { notes, warnings } = fitted.prepared.data;
      for (const message of notes) {
        io.stderr(message);
        io.emit({ event: "note", level: "info", message });
      }
      for (const message of warnings) {
        warn(message, io);
        io.emit({ event: "note", level: "warn", message });
      }
      for (const line of planLines(plan)) io.stdout(line);
      io.emit(planEvent(plan));
    } finally {
      await opened.checkpoint.close();
    }
  },
});
