/** @file The request to the fine-tuning loop: what to train, on which data, how, and where results are stored. */
import type { Batch } from "../../data/batches/batch.ts";
import type { TrainingUnit } from "../../data/examples/training-unit.ts";
import type { StepPlan } from "../../data/batches/order.ts";
import type { Optimizer } from "../../optim/optimizer.ts";
import type { Schedule } from "../../optim/schedule.ts";
import type { Adapter } from "../../peft/attach.ts";
import type { BetweenBlocks } from "../../run/blocks/forward-blocks.ts";
import type { Session } from "../../run/session.ts";
import type { DropPlan } from "../dropbp/branch-dropper.ts";
import type { EvalMetric } from "../eval-metrics.ts";
import type { ChosenObjective } from "../step/objective-step.ts";
import type { Pacer } from "../power/pacer.ts";
import type { Recompute } from "../recompute.ts";
import type { RunStore } from "./run-store.ts";
import type { SampleWriter } from "../samples.ts";
import type { ActivationPlace } from "../step/step-runner.ts";

/** How parameters are updated. */
export interface OptimizerPlan {
  readonly optimizer: Optimizer;
  /** The options of the optimizer; missing ones have its defaults. */
  readonly options: unknown;
  readonly schedule: Schedule;
  readonly learningRate: number;
  readonly warmupSteps: number;
  readonly weightDecay: number;
  /** 0: gradients are not clipped. */
  readonly maxGradNorm: number;
}

/** When and how the run is evaluated on held-out data. */
export interface EvaluationPlan {
  readonly units: readonly TrainingUnit[];
  readonly everySteps: number;
  /** Number of evaluations without improvement after which the run stops; null: it never stops early. */
  readonly patience: number | null;
  /** The metric that decides what is better; default: the loss. */
  readonly metric?: EvalMetric;
  /** Whether the best checkpoint is kept and is the result; always so with `patience`. */
  readonly keepsBest?: boolean;
}

/** What the caller may do during the run. */
export interface FineTuneHooks {
  /** Stops after the current step, with a checkpoint. */
  readonly signal?: AbortSignal | undefined;
  /** Whether this run may still write to the store; if not, it stops after the current step, without a checkpoint. */
  readonly mayWrite?: (() => boolean) | undefined;
  /** Largest memory of the process so far, for the log. */
  peakMegabytes(): number;
  readonly betweenBlocks?: BetweenBlocks | undefined;
  /** Called before files are written: other work may run until the next block. */
  readonly rest?: (() => void) | undefined;
  /** Writes samples every so many steps; null: none. */
  readonly samples?: { readonly everySteps: number; readonly write: SampleWriter } | null;
  /** Makes pauses, in steps and between them. */
  readonly pacer?: StepPacer | null;
}

type StepPacer = Pick<Pacer, "begin" | "betweenBlocks" | "end">;

/** A request to `fineTune`. */
export interface FineTuneRequest {
  readonly session: Session;
  readonly adapter: Adapter;
  readonly plan: StepPlan<TrainingUnit>;
  readonly totalSteps: number;
  /** Lays out the rows of a micro-batch. */
  readonly toBatch: (rows: readonly (readonly TrainingUnit[])[]) => Batch;
  /** Most tokens of an example: some objectives combine prompts with other answers. */
  readonly maxLength: number;
  readonly objective: ChosenObjective;
  /** The adapter from which the run started, for objectives that compare with it; null: the base without an adapter. */
  readonly reference: Adapter | null;
  readonly optimizer: OptimizerPlan;
  /** Null: there is no held-out data. */
  readonly evaluation: EvaluationPlan | null;
  readonly recompute: Recompute;
  readonly activations?: ActivationPlace | undefined;
  /** Micro-batches of a step that run at once, each on its share of the threads; default 1. */
  readonly numLanes?: number;
  /** Leaves branches out of the backward pass; null: none. */
  readonly dropBp: DropPlan | null;
  readonly seed: number;
  readonly store: RunStore;
  /** Null: only at the end. */
  readonly saveEverySteps: number | null;
  readonly logEverySteps: number;
  /** Settings that must be the same when the run is resumed; stored with it. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly hooks: FineTuneHooks;
}
