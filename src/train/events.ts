/** @file The events of a run; names are those of its JSON lines. */

import type { ModelTask } from "../models/model-tasks.ts";
import type { EnergySource } from "./power/energy.ts";

/** What a run is about to do. */
export interface StartEvent {
  readonly event: "start";
  readonly model: string;
  /** What the model is for. */
  readonly task: ModelTask;
  /** Whether the model has a template for conversations. */
  readonly chat_template: boolean;
  readonly method: string;
  /** Parameters of the model. */
  readonly parameters: number;
  readonly trainable_parameters: number;
  /** Trainable parameters as a share of the model's. */
  readonly trainable_share: number;
  readonly examples: number;
  /** Tokens of all examples, each example counted once; positions if the model reads images. */
  readonly tokens: number;
  /** Those of them that are learned. */
  readonly trained_tokens: number;
  /** Training examples that were cut to `max_length`; held-out ones are not counted. */
  readonly truncated_examples: number;
  /** Examples left out because nothing to learn remained within `max_length` tokens. */
  readonly dropped_examples: number;
  readonly max_length: number;
  /** Null: the run is not evaluated. */
  readonly held_out_examples: number | null;
  readonly total_steps: number;
  readonly steps_per_epoch: number;
  readonly learning_rate: number;
}

/** The checkpoint from which a run resumes. */
export interface ResumeEvent {
  readonly event: "resume";
  readonly checkpoint: string;
  /** Steps that are done. */
  readonly step: number;
  readonly total_steps: number;
  /** Sentences: what is left to do, and what another length changes. */
  readonly notes: readonly string[];
}

/** How the power of the device affected a step; absent unless `power` or pauses by hand are set. */
export interface PowerNumbers {
  /** How long the step waited. */
  readonly pause_ms?: number;
  /** Tokens per second of the step, pauses included; `tokens_per_second` counts only working time. */
  readonly tokens_per_second_with_pauses?: number;
  /** Charge in per cent; absent where the device does not say. */
  readonly battery?: number;
  /** Temperature in °C; absent where the device does not report it. */
  readonly temperature?: number;
  /** Energy of the step, pauses included. */
  readonly joules?: number;
  /** Whether the joules were measured, or estimated from processor time. */
  readonly energy?: EnergySource;
}

/** One optimizer step. `loss`: mean over the step's label tokens before its update. */
export interface StepEvent extends PowerNumbers {
  readonly event: "step";
  /** Number of the step, counted from 1. */
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
  /** Most memory of parameters during the step, as `residentMemory` counts it; absent without it, like the next three. */
  readonly resident_mb?: number;
  /** Read from the disk, written to it, and dropped from memory in the step. */
  readonly shards_read_mb?: number;
  readonly shards_written_mb?: number;
  readonly evicted_mb?: number;
  /** Share of the branches' backward pass that was left out; absent without DropBP. */
  readonly drop_rate?: number;
}

/** An evaluation on held-out data after `step` steps. */
export interface EvalEvent {
  readonly event: "eval";
  readonly step: number;
  readonly loss: number;
  /** Absent unless the objective learns texts. */
  readonly perplexity?: number;
  readonly tokens: number;
  /** Share of the learned tokens that are the likeliest; absent unless a metric of the run asks for it. */
  readonly token_accuracy?: number;
}

const MEASURED: Readonly<Record<keyof StepEvent | keyof EvalEvent, true>> = {
  event: true,
  step: true,
  total_steps: true,
  epoch: true,
  loss: true,
  perplexity: true,
  learning_rate: true,
  grad_norm: true,
  tokens: true,
  token_accuracy: true,
  tokens_per_second: true,
  tokens_per_second_with_pauses: true,
  pause_ms: true,
  battery: true,
  temperature: true,
  joules: true,
  energy: true,
  peak_mb: true,
  resident_mb: true,
  shards_read_mb: true,
  shards_written_mb: true,
  evicted_mb: true,
  drop_rate: true,
};
/** Fields of step and evaluation events; metrics of an objective need other names. */
export const MEASURED_FIELDS: readonly string[] = Object.keys(MEASURED);

/** A text generated for a prompt of `samples`, at an evaluation. */
export interface SampleEvent {
  readonly event: "sample";
  /** Steps done so far. */
  readonly step: number;
  /** Number of the prompt, from 0. */
  readonly index: number;
  readonly prompt: string;
  readonly text: string;
  /** New tokens. */
  readonly tokens: number;
}

/** The end of a run. */
export interface DoneEvent {
  readonly event: "done";
  /** Folder with what was trained. */
  readonly output: string;
  /** What the folder contains. */
  readonly result: "adapter" | "model";
  readonly steps: number;
  /** The step whose parameters are the result: may be earlier than the last step if the best checkpoint is kept. */
  readonly result_step: number;
  readonly trainable_parameters: number;
  /** Tokens of all steps that are not padding, those before a resume included. */
  readonly trained_tokens: number;
  readonly first_loss: number | null;
  readonly last_loss: number | null;
  /** Held-out loss before training; null: it was not computed. */
  readonly held_out_loss_before: number | null;
  /** Held-out loss of the result. */
  readonly held_out_loss: number | null;
  readonly seconds: number;
  /** Pauses of all steps; absent if none were set. */
  readonly paused_seconds?: number;
  /** Energy of all steps. */
  readonly joules?: number;
  /** "measured" only if all of it was. */
  readonly energy?: EnergySource;
}

/** Something that the caller should see. */
export interface NoteEvent {
  readonly event: "note";
  /** "warn": something is probably not as the user meant it. */
  readonly level: "info" | "warn";
  readonly message: string;
}

/** Progress of reading a large data file, sent now and then. */
export interface ReadEvent {
  readonly event: "read";
  readonly file: string;
  readonly rows: number;
  /** Null: not known until the end is reached. */
  readonly total_rows: number | null;
}

/** Progress of comparing memory plans, if that takes long. */
export interface FitEvent {
  readonly event: "fit";
  readonly plans: number;
  readonly total_plans: number;
}

/** Any event of a run, distinguished by `event`. */
export type TrainEvent =
  | ReadEvent
  | FitEvent
  | StartEvent
  | ResumeEvent
  | StepEvent
  | EvalEvent
  | DoneEvent
  | NoteEvent
  | SampleEvent;
