/** @file What the fine-tuning loop is asked for: what to train, on what, how, and where it is kept. */
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

/** How parameters move. */
export interface OptimizerPlan {
  readonly optimizer: Optimizer;
  /** The options of the optimizer; those that are left out have its defaults. */
  readonly options: unknown;
  readonly schedule: Schedule;
  readonly learningRate: number;
  readonly warmupSteps: number;
  readonly weightDecay: number;
  /** 0: gradients are not clipped. */
  readonly maxGradNorm: number;
}

/** When the run looks at held-out data. */
export interface EvaluationPlan {
  readonly units: readonly TrainingUnit[];
  readonly everySteps: number;
  /** Evaluations without a better one after which the run stops; null: it does not. */
  readonly patience: number | null;
  /** What is better; the loss unless given. */
  readonly metric?: EvalMetric;
  /** Whether the best checkpoint is kept and is the result; where the run stops early it is anyway. */
  readonly keepsBest?: boolean;
}

/** What the caller may do while the run goes on. */
export interface FineTuneHooks {
  /** Stops after the current step, with a checkpoint. */
  readonly signal?: AbortSignal | undefined;
  /** Whether the store is still this run's to write; when not, it stops after the current step, without a checkpoint. */
  readonly mayWrite?: (() => boolean) | undefined;
  /** Largest memory of the process so far, for the log. */
  peakMegabytes(): number;
  readonly betweenBlocks?: BetweenBlocks | undefined;
  /** Is called before files are written: until the next block others may run. */
  readonly rest?: (() => void) | undefined;
  /** Writes texts at each evaluation, or as often where there is none; null: none. */
  readonly samples?: { readonly everySteps: number; readonly write: SampleWriter } | null;
  /** Makes pauses, in steps and between them. */
  readonly pacer?: StepPacer | null;
}

type StepPacer = Pick<Pacer, "begin" | "betweenBlocks" | "end">;

/** What to train, on what, and where it is kept. */
export interface FineTuneRequest {
  readonly session: Session;
  readonly adapter: Adapter;
  readonly plan: StepPlan<TrainingUnit>;
  readonly totalSteps: number;
  /** Lays the rows of a micro-batch out. */
  readonly toBatch: (rows: readonly (readonly TrainingUnit[])[]) => Batch;
  /** Tokens of an example at most: some objectives put prompts and answers together anew. */
  readonly maxLength: number;
  readonly objective: ChosenObjective;
  /** What the run started from, for objectives that compare with it; null: the base alone. */
  readonly reference: Adapter | null;
  readonly optimizer: OptimizerPlan;
  /** Null: there is no held-out data. */
  readonly evaluation: EvaluationPlan | null;
  readonly recompute: Recompute;
  readonly activations?: ActivationPlace | undefined;
  /** Micro-batches of a step that run at once, each on its share of the threads; 1 unless given. */
  readonly numLanes?: number;
  /** Leaves branches out of the backward pass; null: none. */
  readonly dropBp: DropPlan | null;
  readonly seed: number;
  readonly store: RunStore;
  /** Null: only at the end. */
  readonly saveEverySteps: number | null;
  readonly logEverySteps: number;
  /** What must be the same for a run to be resumed; kept with it. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly hooks: FineTuneHooks;
}
