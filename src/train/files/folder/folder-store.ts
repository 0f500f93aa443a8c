/** @file A run that is kept in a folder, with the settings and the loss curve beside the result. */
import type { AdapterOrigin } from "../../../format/adapters/adapter.ts";
import { restoreAdapter } from "../../../format/by-path.ts";
import type { Adapter } from "../../../peft/attach.ts";
import type { RunState } from "../../loop/run-state.ts";
import type { RunStore } from "../../loop/run-store.ts";
import { type Inputs, describeRun } from "../provenance.ts";
import { RUN_FILES } from "./run-files.ts";
import type { Trained } from "./checkpoints.ts";
import type { RunFolder } from "./run-folder.ts";
import type { RunReporter } from "./run-reporter.ts";
import { loadReports } from "./report-modules.ts";

/** An adapter in a folder, for a run that stands at some step. */
export interface GoOnFrom {
  readonly step: number;
  readonly adapter: string;
}

/** What a folder is to hold. */
interface FolderStoreParts {
  readonly folder: RunFolder;
  readonly adapter: Adapter;
  readonly origin: Omit<AdapterOrigin, "provenance">;
  /** What the run reads. */
  readonly inputs: Inputs;
  /** Whether to go on from the newest checkpoint. */
  readonly resumes: boolean;
  readonly settings: Readonly<Record<string, unknown>>;
  /** Hears what the user should see. */
  readonly tell: (note: string) => void;
  /** Steps that the run is to have. */
  readonly totalSteps: number;
  /** Hears where the run goes on from, and how it stood there. */
  readonly onResume: (state: RunState, checkpoint: string) => void;
  /** Hears that a checkpoint is written, and maybe older ones are gone. */
  readonly onSave: () => void;
  /** Hears that nothing is computed any more, before what draws charts takes memory. */
  readonly onFinish: () => Promise<void> | void;
  /** The adapter that the run goes on from, if it is there at this step; its own unless given. */
  readonly goOnFrom: GoOnFrom | undefined;
  /** Checkpoints that are kept, beside the best. */
  readonly keepLast: number;
  /** The settings as they took effect. */
  readonly configText: string;
  /** Title of the loss curve. */
  readonly title: string;
  readonly reporter: RunReporter;
  /** Aborted: the run is about to end, and to be looked at. */
  readonly signal: AbortSignal | undefined;
}

/** Makes the store of a run in a folder. */
export function folderStore(parts: FolderStoreParts): RunStore {
  const { folder, adapter, inputs, settings, totalSteps, keepLast, configText, title, reporter } = parts;
  const trainedAt = (state: RunState): Trained => {
    const origin = { ...parts.origin, provenance: describeRun(adapter, inputs, state) };
    return { adapter, origin, state };
  };
  return {
    async resume(optimizer) {
      const state = parts.resumes
        ? await folder.resume({ adapter, optimizer, settings, totalSteps }, parts.tell)
        : null;
      const { goOnFrom } = parts;
      if (goOnFrom && goOnFrom.step === (state?.global_step ?? 0))
        await restoreAdapter(goOnFrom.adapter, adapter);
      if (state === null) return null;
      parts.onResume(state, folder.checkpoints.at(state.global_step));
      return state;
    },
    log: (event) => folder.log({ ...event }),
    async save(state, optimizer) {
      await folder.checkpoints.save(trainedAt(state), optimizer, keepLast);
      parts.onSave();
      if (reporter.isDueAt(state) || parts.signal?.aborted === true)
        await folder.write(RUN_FILES.report, await reporter.write(state, { isDone: false }));
    },
    restore: (step) => restoreAdapter(folder.checkpoints.at(step), adapter),
    async finish(state) {
      await parts.onFinish();
      const { dropBpChart, lossChart } = await loadReports();
      await folder.finish(trainedAt(state), {
        [RUN_FILES.config]: configText,
        [RUN_FILES.chart]: lossChart(title, state.log_history),
        [RUN_FILES.report]: await reporter.write(state, { isDone: true }),
        ...(state.dropbp === null ? {} : { [RUN_FILES.branches]: dropBpChart(title, state.dropbp) }),
      });
    },
    newestCheckpoint: async () => {
      const step = await folder.checkpoints.newest();
      return step === null ? null : folder.checkpoints.at(step);
    },
  };
}
