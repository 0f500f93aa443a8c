/**
 * @file DropBP: micro-batches that leave residual branches out of the backward pass. The forward pass never changes.
 *
 * Rates are equal for the first tenth of the run. Then the sensitivity of every branch is measured once, on one micro-batch,
 * and rates are allocated anew. Branches are drawn for each micro-batch, as in the published code: so the more micro-batches a step
 * has, the fewer parameters lack a gradient. The draw depends only on the seed, the step and the number of the micro-batch.
 * Paper: "DropBP: Accelerating Fine-Tuning of Large Language Models by Dropping Backward Propagation", arXiv:2402.17812.
 */
import type { Model } from "../../models/model.ts";
import type { MicroBatchKey } from "../step/micro-batch.ts";
import type { MicroBatchRunner, StepRunner } from "../step/step-runner.ts";
import { allocateRates } from "./allocate-rates.ts";
import { type ModelBranch, branchLabel, branchesOf, droppedByBlock } from "./branch-list.ts";
import { drawBranches } from "./draw-branches.ts";
import type { DropState } from "./drop-state.ts";
import { measureBranches, numBackwardPasses } from "./measure-branches.ts";
import type { Sensitivity } from "./sensitivity.ts";

/** Share of the run after which sensitivities are measured. */
const MEASURED_AFTER = 0.1;

/** How many steps run before sensitivities are measured. */
export function measuredAfter(totalSteps: number): number {
  return Math.ceil(MEASURED_AFTER * totalSteps);
}

/** How branches are dropped. */
export interface DropPlan {
  /** Target share of the backward pass that is left out, in [0, 0.9]. */
  readonly rate: number;
  /** How sensitivities are measured; null: all branches keep the same rate. */
  readonly sensitivity: Sensitivity | null;
  /** How many tokens a token attends to, for the cost of attention. */
  readonly length: number;
}

/** How sensitivities are measured in a run of `totalSteps`; null: not at all, since rates stay equal or the run ends before. */
export function measuredIn({ sensitivity }: DropPlan, totalSteps: number): Sensitivity | null {
  return measuredAfter(totalSteps) < totalSteps ? sensitivity : null;
}

/** Notes what measuring costs, if that is more than all backward passes of the run. */
export function describeMeasuring(
  plan: DropPlan,
  model: Model,
  run: { readonly totalSteps: number; readonly microBatches: number },
): string[] {
  const numMicroBatches = run.totalSteps * run.microBatches;
  const numPasses = Math.ceil(numBackwardPasses(branchesOf(model, plan.length), model.numLayers));
  if (measuredIn(plan, run.totalSteps) === null || numPasses <= numMicroBatches) return [];
  return [
    `Measuring the sensitivity of branches takes ${numPasses} full backward passes over a micro-batch, in a run of ${numMicroBatches} micro-batches: ` +
      "`--dropbp-rates uniform` needs no measurements.",
  ];
}

/** Notes after a run in how many of its steps no parameter changed. */
export function describeSkipped({ steps, skipped }: DropState): string[] {
  if (skipped === 0) return [];
  return [
    `DropBP dropped everything that is trained in ${skipped} of ${steps} steps, so these steps changed nothing: ` +
      "use a smaller --dropbp or more --gradient-accumulation-steps.",
  ];
}

export class BranchDropper {
  readonly #plan: DropPlan;
  readonly #branches: readonly ModelBranch[];
  readonly #model: Model;
  readonly #seed: number;
  readonly #measuredAt: number;
  #state: DropState;
  /** What each micro-batch of the current step has left out. */
  readonly #drawn: { readonly isDropped: readonly boolean[]; readonly isIdle: boolean }[] = [];

  constructor(
    plan: DropPlan,
    model: Model,
    run: { readonly seed: number; readonly totalSteps: number; readonly resumed: DropState | null },
  ) {
    this.#plan = plan;
    this.#branches = branchesOf(model, plan.length);
    this.#model = model;
    this.#seed = run.seed;
    this.#measuredAt = measuredAfter(run.totalSteps);
    this.#state = run.resumed ?? {
      branches: this.#branches.map(branchLabel),
      rates: this.#branches.map(() => plan.rate),
      sensitivities: null,
      dropped: this.#branches.map(() => 0),
      passes: 0,
      steps: 0,
      skipped: 0,
    };
  }

  get state(): DropState {
    return this.#state;
  }

  /** Whether sensitivities must be measured before this step (from 0). */
  isDue(step: number): boolean {
    return this.#plan.sensitivity !== null && this.#state.sensitivities === null && step >= this.#measuredAt;
  }

  /**
   * Measures how much leaving out each branch changes the gradients, and allocates the rates accordingly. `run` runs one micro-batch
   * with the runner that it receives.
   * @throws the signal's reason, between two blocks
   */
  async measure(
    steps: StepRunner,
    run: (runner: MicroBatchRunner) => Promise<unknown>,
    signal?: AbortSignal,
  ): Promise<void> {
    const { sensitivity, rate } = this.#plan;
    if (!sensitivity) return;
    let sensitivities: number[] = [];
    steps.dropBranches([]);
    await run(
      steps.withBackward(async (turn) => {
        sensitivities = await measureBranches(turn, this.#branches, sensitivity, signal);
      }),
    );
    const flops = this.#branches.map((branch) => branch.flops);
    const tenths = allocateRates({ sensitivities, flops }, rate);
    this.#state = { ...this.#state, sensitivities, rates: tenths.map((count) => count / 10) };
  }

  /** Draws the branches that a micro-batch leaves out, and drops them. */
  begin(steps: StepRunner, key: MicroBatchKey): void {
    const { rates } = this.#state;
    const isDropped = drawBranches(rates, this.#plan.rate, this.#seed, key);
    this.#drop(steps, isDropped);
    this.#drawn.push({ isDropped, isIdle: steps.isIdle });
  }

  /** Adds a step's micro-batches to the counts; returns the mean share of the backward pass that they left out. */
  endStep(): number {
    const drawn = this.#drawn.splice(0);
    const { dropped, passes, steps, skipped } = this.#state;
    const isIdle = drawn.every((each) => each.isIdle);
    this.#state = {
      ...this.#state,
      dropped: dropped.map((count, i) => count + drawn.filter((each) => each.isDropped[i]).length),
      passes: passes + drawn.length,
      steps: steps + 1,
      skipped: skipped + Number(isIdle),
    };
    const costs = this.#branches.map(({ flops }) => flops);
    const whole = costs.reduce((sum, cost) => sum + cost, 0);
    const left = drawn.map(({ isDropped }) =>
      costs.reduce((sum, cost, i) => sum + (isDropped[i] ? cost : 0), 0),
    );
    return left.reduce((sum, cost) => sum + cost, 0) / (whole * drawn.length);
  }

  #drop(steps: StepRunner, isDropped: readonly boolean[]): void {
    steps.dropBranches(droppedByBlock(this.#model, this.#branches, (i) => isDropped[i] === true));
  }
}
