/** @file Reads and checks one checkpoint of a run: manifest, step, settings, adapter, optimizer. */
import { join } from "node:path";
import { UsageError } from "../../../errors.ts";
import { readJson, restoreAdapter } from "../../../format/by-path.ts";
import type { Adapter } from "../../../peft/attach.ts";
import { RUN_STATE, type RunState } from "../../loop/run-state.ts";
import { changedSettings, describeChange, numericSettings } from "../../settings/saved-settings.ts";
import { badCheckpoint, checkManifest } from "./manifest.ts";
import { OPTIMIZER_FILE, type OptimizerState, readOptimizer } from "./optimizer-file.ts";

export const STATE_FILE = "trainer_state.json";

/** The objects that a checkpoint is read into, and the settings that it must have. */
export interface ResumedRun {
  readonly adapter: Adapter;
  readonly optimizer: OptimizerState;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly totalSteps: number;
}

/**
 * Reads the checkpoint after `step` steps; returns the state of the run.
 * @throws UsageError "usage/resume" when it was made with other settings; FormatError when it is damaged: adapter and optimizer may then
 * contain parts of it
 */
export async function readCheckpoint(folder: string, step: number, into: ResumedRun): Promise<RunState> {
  const state = await readRunState(folder, step);
  requireSameSettings(folder, state.settings, into.settings);
  requireLonger(folder, step, into.totalSteps);
  await restoreAdapter(folder, into.adapter);
  await readOptimizer(join(folder, OPTIMIZER_FILE), into.adapter, into.optimizer, step);
  return state;
}

/** Reads the state of the run from a checkpoint. @throws FormatError when it is damaged */
export async function readRunState(folder: string, step: number): Promise<RunState> {
  await checkManifest(folder, step);
  const parsed = RUN_STATE.safeParse(await readJson(join(folder, STATE_FILE)));
  if (!parsed.success) throw badCheckpoint(folder, `${STATE_FILE} does not contain the state of the run`);
  if (parsed.data.global_step !== step) {
    throw badCheckpoint(folder, `${STATE_FILE} is of step ${parsed.data.global_step}, expected ${step}`);
  }
  return { ...parsed.data, settings: numericSettings(parsed.data.settings) };
}

/** @throws UsageError "usage/resume" that names the differing settings, among those that change numbers */
export function requireSameSettings(
  folder: string,
  saved: Readonly<Record<string, unknown>>,
  given: Readonly<Record<string, unknown>>,
): void {
  const changed = changedSettings(saved, given);
  if (changed.length === 0) return;
  const found = changed.map((key) => describeChange(key, saved, given));
  throw new UsageError("usage/resume", `Cannot resume "${folder}" with other settings: ${found.join("; ")}`, {
    hint: "Give the same settings, or start a new run from it with --init-adapter.",
  });
}

function requireLonger(folder: string, step: number, totalSteps: number): void {
  if (step <= totalSteps) return;
  throw new UsageError(
    "usage/resume",
    `Cannot resume "${folder}" for a run of ${totalSteps} steps: it is after step ${step}, expected at least as many`,
    { hint: "Give more steps or epochs, or start a new run in another folder." },
  );
}
