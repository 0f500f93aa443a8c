/** @file The state of a run: what a checkpoint says beside the parameters. Names are those of transformers' trainer state. */
import { z } from "zod";
import { DROP_STATE } from "../dropbp/drop-state.ts";
import { NO_STEPS, STEP_TOTALS, totalsOf } from "./step-history.ts";

const FOUND = {
  best_metric: z.number().nullable(),
  best_global_step: z.int().nullable(),
  evaluations_without_improvement: z.int().min(0),
};

const SAVED_STATE = z.object({
  global_step: z.int().min(0),
  max_steps: z.int().min(0),
  epoch: z.number(),
  ...FOUND,
  /** The values before an evaluation that was only made because the run ended; null: there was none such. */
  found_before_end: z.object(FOUND).nullable().default(null),
  trained_tokens: z.int().min(0),
  trainable_parameters: z.int().min(0),
  /** Settings that must be the same for the run to resume as if it had never stopped. */
  settings: z.record(z.string(), z.unknown()),
  /** Null: no branches are dropped. */
  dropbp: DROP_STATE.nullable().default(null),
  /** Sums over all steps; older runs lack them, and have all steps in the history. */
  step_totals: STEP_TOTALS.optional(),
  /** Evaluations, samples, and the steps that step-history.ts keeps. */
  log_history: z.array(z.record(z.string(), z.unknown())),
});

export const RUN_STATE = SAVED_STATE.transform((saved) => ({
  ...saved,
  step_totals: saved.step_totals ?? totalsOf(saved.log_history),
}));
/** The state of a run, as in its checkpoints. */
export type RunState = z.output<typeof RUN_STATE>;

/** The state of a run with a new length: an evaluation made only because of the old end belongs to the shorter run, and is undone. */
export function withLength(state: RunState, totalSteps: number): RunState {
  const isLonger = totalSteps > state.global_step;
  return {
    ...state,
    ...(isLonger && state.found_before_end),
    found_before_end: isLonger ? null : state.found_before_end,
    max_steps: totalSteps,
  };
}

/** The result of an evaluation. */
interface Found {
  readonly value: number;
  /** Whether the value is better than all before. */
  readonly better: boolean;
  /** Whether the evaluation was only made because the run ends. */
  readonly isOnlyAtEnd: boolean;
}

/** The state after an evaluation. */
export function withFound(state: RunState, { value, better, isOnlyAtEnd }: Found): RunState {
  const { global_step, best_metric, best_global_step, evaluations_without_improvement } = state;
  const before = { best_metric, best_global_step, evaluations_without_improvement };
  const found = better
    ? { best_metric: value, best_global_step: global_step, evaluations_without_improvement: 0 }
    : { ...before, evaluations_without_improvement: evaluations_without_improvement + 1 };
  return { ...state, ...found, found_before_end: isOnlyAtEnd ? before : null };
}

/** The state of a new run. */
export function firstState(
  totalSteps: number,
  numTrained: number,
  settings: Readonly<Record<string, unknown>>,
): RunState {
  return {
    global_step: 0,
    max_steps: totalSteps,
    epoch: 0,
    best_metric: null,
    best_global_step: null,
    evaluations_without_improvement: 0,
    found_before_end: null,
    trained_tokens: 0,
    trainable_parameters: numTrained,
    settings,
    dropbp: null,
    step_totals: NO_STEPS,
    log_history: [],
  };
}
