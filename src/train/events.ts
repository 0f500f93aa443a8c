/** @file What a run tells while it goes on; the names are those of its JSON lines. */

/** One optimizer step. `loss`: mean over the step's label tokens before its update. */
export interface StepEvent {
  readonly event: "step";
  /** From 1. */
  readonly step: number;
  readonly total_steps: number;
  readonly epoch: number;
  readonly loss: number;
  readonly learning_rate: number;
  /** L2 norm of all gradients, before clipping. */
  readonly grad_norm: number;
  /** Tokens of the step that are not padding. */
  readonly tokens: number;
  readonly tokens_per_second: number;
  /** Largest resident memory of the process so far. */
  readonly peak_mb: number;
}

/** An evaluation on held-out data after `step` steps. */
export interface EvalEvent {
  readonly event: "eval";
  readonly step: number;
  readonly loss: number;
  readonly perplexity: number;
  readonly tokens: number;
}

/** The end of a run. */
export interface DoneEvent {
  readonly event: "done";
  readonly output: string;
  readonly steps: number;
  readonly trainable_parameters: number;
  readonly seconds: number;
}

/** Something that the caller should see: examples that were cut or dropped, and the like. */
export interface NoteEvent {
  readonly event: "note";
  readonly message: string;
}

export type TrainEvent = StepEvent | EvalEvent | DoneEvent | NoteEvent;
