/** @file What a run writes, wherever that is: the loop knows no path. */
import type { GroupState } from "../../optim/updater.ts";
import type { EvalEvent, SampleEvent, StepEvent } from "../events.ts";
import type { RunState } from "./run-state.ts";

/** Keeps what a run on one adapter writes. */
export interface RunStore {
  /** Reads the newest checkpoint into the adapter and the optimizer's state; null: the run begins. */
  resume(optimizer: readonly GroupState[]): Promise<RunState | null>;
  /** Writes a line of the log, or of the samples. */
  log(event: StepEvent | EvalEvent | SampleEvent): Promise<void>;
  /** Writes a checkpoint. */
  save(state: RunState, optimizer: readonly GroupState[]): Promise<void>;
  /** Reads the numbers of the checkpoint after some step back into the adapter. */
  restore(step: number): Promise<void>;
  /** Writes the result, when nothing is computed any more. */
  finish(state: RunState): Promise<void>;
  /** Says where the newest checkpoint is; null: there is none. */
  newestCheckpoint(): Promise<string | null>;
}

/** Keeps nothing: what was trained is in the adapter. A run that stops early cannot go back to its best step. */
export const NO_STORE: RunStore = {
  resume: async () => null,
  log: async () => {},
  save: async () => {},
  restore: async () => {},
  finish: async () => {},
  newestCheckpoint: async () => null,
};
