/**
 * @file DropBP: steps that leave residual branches out of the backward pass. The forward pass never changes.
 *
 * Rates are equal for the first tenth of the run. Then the sensitivity of every branch is measured once, by as many passes
 * over one micro-batch, and rates are allocated anew. What a step leaves out depends on the seed and its number alone.
 * Paper: "DropBP: Accelerating Fine-Tuning of Large Language Models by Dropping Backward Propagation", arXiv:2402.17812.
 */
import type { Model } from "../../models/model.ts";
import type { StepRunner } from "../step-runner.ts";
import { allocateRates } from "./allocate-rates.ts";
import { type ModelBranch, branchLabel, branchesOf } from "./branch-list.ts";
import { drawBranches } from "./draw-branches.ts";
import type { DropState } from "./drop-state.ts";
import { type Sensitivity, squaredDistance } from "./sensitivity.ts";

/** Share of the run after which sensitivities are measured. */
const MEASURED_AFTER = 0.1;

/** Steps of a run before its sensitivities are measured. */
export function measuredAfter(totalSteps: number): number {
  return Math.ceil(MEASURED_AFTER * totalSteps);
}

/** How branches are dropped. */
export interface DropPlan {
  /** Share of the backward pass that is left out, in [0, 0.9]. */
  readonly rate: number;
  /** Null: all branches keep the same rate. */
  readonly sensitivity: Sensitivity | null;
  /** Tokens that a token attends to, for what attention costs. */
  readonly length: number;
}

export class BranchDropper {
  readonly #plan: DropPlan;
  readonly #branches: readonly ModelBranch[];
  readonly #numLayers: number;
  readonly #seed: number;
  readonly #measuredAt: number;
  #state: DropState;

  constructor(
    plan: DropPlan,
    model: Model,
    run: { readonly seed: number; readonly totalSteps: number; readonly resumed: DropState | null },
  ) {
    this.#plan = plan;
    this.#branches = branchesOf(model, plan.length);
    this.#numLayers = model.numLayers;
    this.#seed = run.seed;
    this.#measuredAt = measuredAfter(run.totalSteps);
    this.#state = run.resumed ?? {
      branches: this.#branches.map(branchLabel),
      rates: this.#branches.map(() => plan.rate),
      sensitivities: null,
      dropped: this.#branches.map(() => 0),
      steps: 0,
      skipped: 0,
    };
  }

  get state(): DropState {
    return this.#state;
  }

  /** Whether sensitivities are to be measured before this step (from 0). */
  isDue(step: number): boolean {
    return this.#plan.sensitivity !== null && this.#state.sensitivities === null && step >= this.#measuredAt;
  }

  /**
   * Measures what the gradients miss without each branch, and allocates the rates by it. `backward` runs one micro-batch
   * and ends the step of the gradient buffer.
   */
  async measure(steps: StepRunner, backward: () => Promise<unknown>): Promise<void> {
    const { sensitivity, rate } = this.#plan;
    if (!sensitivity) return;
    const read = async (without: number | null): Promise<Float64Array[]> => {
      this.#drop(
        steps,
        this.#branches.map((_, i) => i === without),
      );
      await backward();
      return sensitivity.read(steps.gradients);
    };
    const whole = await read(null);
    const sensitivities: number[] = [];
    for (const i of this.#branches.keys()) sensitivities.push(squaredDistance(whole, await read(i)));
    const flops = this.#branches.map((branch) => branch.flops);
    const tenths = allocateRates({ sensitivities, flops }, rate);
    this.#state = { ...this.#state, sensitivities, rates: tenths.map((count) => count / 10) };
  }

  /** Leaves out what step `step` (from 0) draws; returns the share of the backward pass that it leaves out. */
  begin(steps: StepRunner, step: number): number {
    const { rates, dropped, skipped } = this.#state;
    const isDropped = drawBranches(rates, this.#plan.rate, this.#seed, step);
    this.#drop(steps, isDropped);
    this.#state = {
      ...this.#state,
      dropped: dropped.map((count, i) => count + Number(isDropped[i])),
      steps: this.#state.steps + 1,
      skipped: skipped + Number(steps.isIdle),
    };
    const sum = (of: readonly ModelBranch[]): number => of.reduce((total, { flops }) => total + flops, 0);
    return sum(this.#branches.filter((_, i) => isDropped[i])) / sum(this.#branches);
  }

  #drop(steps: StepRunner, isDropped: readonly boolean[]): void {
    const names = Array.from({ length: this.#numLayers }, (): string[] => []);
    for (const [i, { layer, name }] of this.#branches.entries()) if (isDropped[i]) names[layer]?.push(name);
    steps.dropBranches(names);
  }
}
