/** @file Names of the files in the folder of a run, so that a new run there knows what it may take out. */
import { RESULT_FILES } from "../../../format/adapters/adapter.ts";
import { jsonl } from "../../logs/jsonl.ts";
import type { LogFormat } from "../../logs/log-format.ts";
import { LOG_FORMATS } from "../../logs/log-formats.ts";
import { STATE_FILE } from "./read-checkpoint.ts";

/** Files beside the state, the logs, the result and checkpoints. */
export const RUN_FILES = {
  /** The settings as they took effect, for a new run to be started with. */
  config: "config.yaml",
  chart: "loss.svg",
  /** What was left out of each branch by DropBP. */
  branches: "dropbp.svg",
  /** What people read of a run. */
  report: "report.html",
  /** Texts that were written while the run went on. */
  samples: "samples.jsonl",
} as const;

/** How trainings are brought together in a folder: by it an averaged training is known. */
export const AVERAGED_FILE = "averaged.json";

/** Beside checkpoints and the result: the parts of its data, its start, its workers' runs and what its rounds remember. */
const OF_AVERAGED = /^(averaged\.json|data|drawn|start|(velocity|worker)-\d+)$/;

/** Whether an averaged training writes a name into the folder that it began. */
export function isOfAveraged(name: string): boolean {
  return OF_AVERAGED.test(name);
}

/** The form of these texts. */
export const SAMPLES: LogFormat = { ...jsonl, file: RUN_FILES.samples };

/** Names that nothing else writes. */
export const OF_A_RUN_ALONE: ReadonlySet<string> = new Set([
  STATE_FILE,
  AVERAGED_FILE,
  ...LOG_FORMATS.map(({ file }) => file),
]);

/** Every name that a run writes, beside those of checkpoints. */
export const OF_A_RUN: ReadonlySet<string> = new Set([
  ...OF_A_RUN_ALONE,
  ...Object.values(RUN_FILES),
  ...RESULT_FILES,
]);
