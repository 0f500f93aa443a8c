/** @file The contract of a place to which a run writes: the loop knows no paths. */
import type { GroupState } from "../../optim/updater.ts";
import type { EvalEvent, SampleEvent, StepEvent } from "../events.ts";
import type { RunState } from "./run-state.ts";

/** Stores what a run on one adapter writes. */
export interface RunStore {
  /** Reads the newest checkpoint into the adapter and the optimizer's state; null: a new run. */
  resume(optimizer: readonly GroupState[]): Promise<RunState | null>;
  /** Writes a line of the log, or of the samples. */
  log(event: StepEvent | EvalEvent | SampleEvent): Promise<void>;
  /** Writes a checkpoint. */
  save(state: RunState, optimizer: readonly GroupState[]): Promise<void>;
  /** Reads the parameters of the checkpoint of a step back into the adapter. */
  restore(step: number): Promise<void>;
  /** Writes the result, after all computation. */
  finish(state: RunState): Promise<void>;
  /** The location of the newest checkpoint; null: there is none. */
  newestCheckpoint(): Promise<string | null>;
}

/** Stores nothing: the result is only in the adapter. A run that stops early cannot go back to its best step. */
export const NO_STORE: RunStore = {
  resume: async () => null,
  log: async () => {},
  save: async () => {},
  restore: async () => {},
  finish: async () => {},
  newestCheckpoint: async () => null,
};
