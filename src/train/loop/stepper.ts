/**
 * @file The steps of a run: gradients of micro-batches, then an update of the parameters. What a step does depends on its number; from
 * earlier steps it depends only on parameters, optimizer state and rates of dropped branches.
 */
import { clipFactor } from "../../optim/clip-factor.ts";
import type { Updater } from "../../optim/updater.ts";
import { trainedRowsIn } from "../../peft/trained-base/token-rows.ts";
import { BranchDropper } from "../dropbp/branch-dropper.ts";
import { type Lanes, type OpenLanes, openLanes } from "../step/lanes.ts";
import { leaveBlocks } from "../step/blocks-backward.ts";
import { type MicroBatch, type StepOutcome, runStep } from "../step/objective-step.ts";
import type { MicroBatchKey } from "../step/micro-batch.ts";
import type { MicroBatchRunner } from "../step/step-runner.ts";
import { divergence, noGradient, noMovement } from "./checks.ts";
import { readStep } from "./readable.ts";
import type { FineTuneRequest } from "./fine-tune-request.ts";
import type { RunState } from "./run-state.ts";
import type { BetweenBlocks } from "../../run/blocks/forward-blocks.ts";
import type { Pacer } from "../power/pacer.ts";

export class Stepper {
  readonly #request: FineTuneRequest;
  readonly #open: OpenLanes;
  readonly #updater: Updater;
  readonly #dropper: BranchDropper | null;
  /** Whether any parameter has moved; checked from the first step with a learning rate on, since a warm-up begins at 0. */
  #hasMoved: boolean;
  /** How many more steps without any gradient may pass before the first movement. */
  #numIdle: number;
  /** Whether only rows of tokens are trained: a step may then have none of these tokens. */
  readonly #hasRowsAlone: boolean;

  private constructor(
    request: FineTuneRequest,
    open: OpenLanes,
    updater: Updater,
    dropper: BranchDropper | null,
  ) {
    this.#request = request;
    this.#open = open;
    this.#updater = updater;
    this.#dropper = dropper;
    const { adapter, plan, totalSteps } = request;
    const hasRowsAlone = trainedRowsIn(adapter.parameters).length === adapter.parameters.length;
    // A resumed run with two updates of a parameter has moved, since one of them had a learning rate. Later steps may be too small to move.
    this.#hasMoved = !hasRowsAlone && updater.state.some(({ steps }) => steps.some((count) => count > 1));
    this.#numIdle = Math.min(plan.stepsPerEpoch, totalSteps) - 1;
    this.#hasRowsAlone = hasRowsAlone;
  }

  /** Compiles the programs of steps; takes ownership of the updater. */
  static async open(
    request: FineTuneRequest,
    updater: Updater,
    resumed: RunState["dropbp"],
  ): Promise<Stepper> {
    const { session, objective, numLanes, seed, dropBp, totalSteps, hooks } = request;
    const lanes = { ...request, betweenBlocks: pacedBlocks(hooks) };
    const open = await openLanes(lanes, objective.objective, numLanes);
    const dropper = dropBp && new BranchDropper(dropBp, session.model, { seed, totalSteps, resumed });
    return new Stepper(request, open, updater, dropper);
  }

  get optimizerState(): Updater["state"] {
    return this.#updater.state;
  }

  /** Whether any parameter had a gradient in any step so far, those before a resume included. */
  get #isUpdated(): boolean {
    return this.#updater.state.some(({ steps }) => steps.some((count) => count > 0));
  }

  /** State of DropBP; null: no branches are dropped. */
  get dropBp(): RunState["dropbp"] {
    return this.#dropper?.state ?? null;
  }

  /** Measures the sensitivity of branches, if due before this step. @throws the signal's reason when it is aborted */
  async measure(index: number): Promise<void> {
    if (!this.#dropper?.isDue(index)) return;
    const [{ steps, scorer }] = this.#open.lanes;
    const first = this.#microBatches(index).slice(0, 1);
    await this.#dropper.measure(
      steps,
      (by) => this.#run(index, first, [{ steps: by, scorer }]),
      this.#request.hooks.signal,
    );
  }

  /** Collects the gradients of a step. */
  async differentiate(index: number): Promise<StepOutcome & { readonly dropRate: number | undefined }> {
    const { lanes } = this.#open;
    const outcome = await this.#run(index, this.#microBatches(index), lanes, (key, lane) =>
      this.#dropper?.begin(lanes[lane]!.steps, key),
    );
    return { ...outcome, dropRate: this.#dropper?.endStep() };
  }

  /** The loss of the first micro-batch of a step with the current parameters. Runs the programs of steps, so that no others are compiled. */
  async lossNow(index: number): Promise<number> {
    const [{ steps, scorer }] = this.#open.lanes;
    const first = this.#microBatches(index).slice(0, 1);
    return (await this.#run(index, first, [{ steps: steps.withBackward(leaveBlocks), scorer }])).loss;
  }

  #microBatches(index: number): MicroBatch[] {
    const { plan, toBatch, session } = this.#request;
    return readStep(plan, index, session.model).map((rows) => ({ units: rows.flat(), batch: toBatch(rows) }));
  }

  #run(
    step: number,
    microBatches: readonly MicroBatch[],
    on: Lanes<MicroBatchRunner>,
    begin?: (key: MicroBatchKey, lane: number) => void,
  ): Promise<StepOutcome> {
    const { objective, maxLength } = this.#request;
    return runStep(on, objective, { step, microBatches, maxLength }, begin);
  }

  /** Updates the parameters from the collected gradients. @throws FailedError "train/nan", "train/no-movement" */
  async move(
    index: number,
    { loss, isFlat }: Pick<StepOutcome, "loss" | "isFlat">,
  ): Promise<{ gradientNorm: number; learningRate: number }> {
    const { adapter, totalSteps, store } = this.#request;
    const { schedule, learningRate: peak, warmupSteps, weightDecay, maxGradNorm } = this.#request.optimizer;
    const { gradients } = this.#open.lanes[0].steps;
    const absent = gradients.finish();
    const gradientNorm = await gradients.norm();
    if (!Number.isFinite(loss) || !Number.isFinite(gradientNorm)) {
      throw await divergence(store, `loss ${loss}, gradient norm ${gradientNorm}`, index + 1);
    }
    const hasGradient = absent.length < adapter.parameters.length;
    // With DropBP, a step may have no gradient because it leaves out all branches; a later one may have some.
    const isLast = this.#dropper === null || index + 1 === totalSteps;
    if (!hasGradient && isLast && !this.#isUpdated) throw noGradient(index + 1);
    const learningRate = peak * schedule.factor(index, totalSteps, warmupSteps);
    const canMove = learningRate > 0 && hasGradient;
    const watches = !this.#hasMoved && canMove;
    const gradientScale = maxGradNorm > 0 ? clipFactor(gradientNorm, maxGradNorm) : 1;
    const update = { gradients: gradients.groups, gradientScale, learningRate, weightDecay };
    const hasMoved = await this.#updater.step(update, { watches });
    const isIdle = gradientNorm === 0 && (isFlat || this.#hasRowsAlone);
    const mayIdle = isIdle && this.#numIdle-- > 0;
    if (watches && !hasMoved && !mayIdle) throw noMovement(index + 1, gradientNorm, isFlat);
    this.#hasMoved ||= hasMoved;
    return { gradientNorm, learningRate };
  }

  async release(): Promise<void> {
    await this.#open.release();
    await this.#updater.release();
  }
}

/** Runs other work, then pauses; undefined: neither. */
function pacedBlocks({
  betweenBlocks,
  pacer,
}: {
  readonly betweenBlocks?: BetweenBlocks | undefined;
  readonly pacer?: Pick<Pacer, "betweenBlocks"> | null;
}): BetweenBlocks | undefined {
  if (!pacer) return betweenBlocks;
  return async () => {
    await betweenBlocks?.();
    await pacer.betweenBlocks();
  };
}
