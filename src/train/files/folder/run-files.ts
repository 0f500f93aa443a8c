/** @file Names of the files in the folder of a run, so that a new run knows which it may remove. */
import { RESULT_FILES } from "../../../format/adapters/adapter.ts";
import { jsonl } from "../../logs/jsonl.ts";
import type { LogFormat } from "../../logs/log-format.ts";
import { LOG_FORMATS } from "../../logs/log-formats.ts";
import { STATE_FILE } from "./read-checkpoint.ts";

/** Files of a run apart from state, logs, result and checkpoints. */
export const RUN_FILES = {
  /** The effective settings, with which a new run can be started. */
  config: "config.yaml",
  chart: "loss.svg",
  /** Chart of how often DropBP left out each branch. */
  branches: "dropbp.svg",
  /** The report for people. */
  report: "report.html",
  /** Texts written during the run. */
  samples: "samples.jsonl",
} as const;

/** File with the options of an averaged training, by which its folder is recognised. */
export const AVERAGED_FILE = "averaged.json";

/** Other names of an averaged training, beside checkpoints and result: parts of the data, start, runs of workers, velocities of rounds. */
const OF_AVERAGED = /^(averaged\.json|data|drawn|start|(velocity|worker)-\d+)$/;

/** Whether an averaged training writes this name to its folder. */
export function isOfAveraged(name: string): boolean {
  return OF_AVERAGED.test(name);
}

/** The format of the samples file. */
export const SAMPLES: LogFormat = { ...jsonl, file: RUN_FILES.samples };

/** Names that only runs write. */
export const OF_A_RUN_ALONE: ReadonlySet<string> = new Set([
  STATE_FILE,
  AVERAGED_FILE,
  ...LOG_FORMATS.map(({ file }) => file),
]);

/** Every name that a run writes, except those of checkpoints. */
export const OF_A_RUN: ReadonlySet<string> = new Set([
  ...OF_A_RUN_ALONE,
  ...Object.values(RUN_FILES),
  ...RESULT_FILES,
]);
