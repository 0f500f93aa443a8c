/** @file Stores a run in a folder, with settings, charts and report beside the result. */
import { join } from "node:path";
import { GraftError, UsageError } from "../../../errors.ts";
import { restoreAdapter } from "../../../format/by-path.ts";
import { checkpointFolder } from "../../../format/run-checkpoints.ts";
import type { Session } from "../../../run/session.ts";
import type { TrainEvent } from "../../events.ts";
import type { RunState } from "../../loop/run-state.ts";
import type { RunStore } from "../../loop/run-store.ts";
import { configText } from "../config-text.ts";
import { describeRun } from "../provenance.ts";
import type { TrainHooks } from "../../train-hooks.ts";
import type { TrainingSetup } from "../setup/setup.ts";
import { tellResume } from "../tell-run.ts";
import { RUN_FILES } from "./run-files.ts";
import type { Trained } from "./checkpoints.ts";
import type { RunFolder } from "./run-folder.ts";
import { RunReporter } from "./run-reporter.ts";
import type { ShardFolder } from "./shard-folder.ts";
import { loadReports } from "./report-modules.ts";

/** The folder, session and listeners of a run. */
export interface RunPlace {
  readonly folder: RunFolder;
  readonly session: Session;
  /** Files of activations, for forms that use them. */
  readonly activations: ShardFolder;
  readonly hooks: TrainHooks;
  readonly emit: (event: TrainEvent) => void;
  readonly warn: (message: string) => void;
}

/** Makes the store of a run in a folder. */
export function folderStore(
  setup: TrainingSetup,
  { folder, session, hooks, emit, warn }: RunPlace,
  settings: RunState["settings"],
): RunStore {
  const { signal, onCheckpoint = () => {}, goOnFrom } = hooks;
  const { options, adapter, base, inputs, totalSteps } = setup;
  const title = `${options.method} on ${base.name}`;
  const reporter = new RunReporter(setup, title, Date.now);
  const trainedAt = (state: RunState): Trained => {
    const origin = { ...setup.origin, provenance: describeRun(adapter, inputs, state) };
    return { adapter, origin, state };
  };
  const takeOver = async (from: NonNullable<typeof goOnFrom>, step: number): Promise<void> => {
    if (step < from.step) throw tooEarly(folder.path, step, from.step);
    if (step === from.step) await restoreAdapter(from.adapter, adapter);
  };
  /** Writes a file that only presents the run: a failure is a warning, since the run is complete without it. */
  const show = async (name: string, text: string): Promise<void> => {
    try {
      await folder.write(name, text);
    } catch (error) {
      if (!(error instanceof GraftError)) throw error;
      warn(`${error.message}. The run continues without it.`);
    }
  };
  return {
    async resume(optimizer) {
      const state = options.resume
        ? await folder.resume({ adapter, optimizer, settings, totalSteps }, warn)
        : null;
      if (goOnFrom) await takeOver(goOnFrom, state?.global_step ?? 0);
      if (state === null) return null;
      emit(tellResume(setup, join(options.output, checkpointFolder(state.global_step)), state));
      return state;
    },
    log: (event) => folder.log({ ...event }),
    async save(state, optimizer) {
      await folder.checkpoints.save(trainedAt(state), optimizer, options.keepLast);
      onCheckpoint();
      if (reporter.isDueAt(state) || signal?.aborted === true)
        await show(RUN_FILES.report, await reporter.write(state, { isDone: false }));
    },
    restore: (step) => restoreAdapter(folder.checkpoints.at(step), adapter),
    async finish(state) {
      // Computation is over: frees the memory that drawing the charts needs.
      await session.release();
      await folder.finish(trainedAt(state), {
        [RUN_FILES.config]: configText({ ...options, output: folder.path }),
      });
      const { dropBpChart, lossChart } = await loadReports();
      await show(RUN_FILES.chart, lossChart(title, state.log_history));
      await show(RUN_FILES.report, await reporter.write(state, { isDone: true }));
      if (state.dropbp !== null) await show(RUN_FILES.branches, dropBpChart(title, state.dropbp));
    },
    newestCheckpoint: async () => {
      const step = await folder.checkpoints.newest();
      return step === null ? null : folder.checkpoints.at(step);
    },
  };
}

/** The error of a run that has not reached the step at which another adapter replaces its own. */
function tooEarly(path: string, step: number, from: number): UsageError {
  return new UsageError(
    "usage/resume",
    `Cannot continue in "${path}" with the adapter after step ${from}: the run is after step ${step}, expected ${from}`,
    {
      hint: "Give the folder in which all earlier steps were trained: a skipped round cannot be made up for.",
    },
  );
}
