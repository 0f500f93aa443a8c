/** @file Checkpoints from which training can continue: parameters and their loss are finite. */
import { keepsBest } from "../eval-metrics.ts";
import { divergence, requireFinite, stopped } from "./checks.ts";
import type { FineTuneRequest } from "./fine-tune-request.ts";
import type { RunState } from "./run-state.ts";
import type { Stepper } from "./stepper.ts";

export class SoundCheckpoints {
  readonly #request: FineTuneRequest;
  readonly #stepper: Stepper;
  /** Step of the newest checkpoint of this run; -1: there is none. */
  #savedStep: number;

  /** `resumed`: the state of a resumed run; null: the run is new. */
  constructor(request: FineTuneRequest, stepper: Stepper, resumed: RunState | null) {
    this.#request = request;
    this.#stepper = stepper;
    this.#savedStep = resumed?.global_step ?? -1;
  }

  /** Writes a checkpoint; returns whether anything was left to save. @throws FailedError "train/nan", "train/stopped" */
  async save(state: RunState): Promise<boolean> {
    const { store, hooks } = this.#request;
    const { global_step: step } = state;
    if (this.#savedStep === step) return false;
    this.requireOwn(state);
    hooks.rest?.();
    await this.requireSound(state);
    await store.save(state, this.#stepper.optimizerState);
    this.#savedStep = step;
    return true;
  }

  /** Checks that parameters and the loss with them are finite. @throws FailedError "train/nan" */
  async requireSound(state: RunState): Promise<void> {
    const { adapter, store } = this.#request;
    await requireFinite(adapter, store, state.global_step);
    const found = await this.#findBadLoss(state);
    if (found !== null) throw await divergence(store, found, state.global_step);
  }

  /**
   * Describes a loss that is not finite although the parameters are: that of an evaluation after this step, or else of the step's data;
   * null: it is finite.
   */
  async #findBadLoss({ global_step: step, log_history: log }: RunState): Promise<string | null> {
    if (step === 0) return null;
    const told = log.findLast(({ event }) => event === "eval");
    const isTold = told?.["step"] === step;
    const loss = isTold ? Number(told["loss"]) : await this.#stepper.lossNow(step - 1);
    this.#request.hooks.rest?.();
    if (Number.isFinite(loss)) return null;
    return isTold ? `validation loss ${loss}` : `the loss is ${loss} after the parameters moved`;
  }

  /** @throws FailedError "train/stopped" when another process has taken over the run */
  requireOwn({ global_step: step }: RunState): void {
    const { hooks, totalSteps } = this.#request;
    if (hooks.mayWrite?.() ?? true) return;
    throw stopped(step, totalSteps, "Another process has taken over the run.");
  }

  /** Saves the last step, and sets the adapter to the result of the run. @throws as `save` */
  async conclude(state: RunState): Promise<void> {
    const { adapter, store, evaluation, hooks } = this.#request;
    const { best_global_step: best, global_step: step } = state;
    const goesBack = evaluation !== null && keepsBest(evaluation) && best !== null && best !== step;
    // A run that is extended later resumes from this checkpoint, or from an earlier one if the last parameters are not sound.
    const isSound = !goesBack || (await this.#findBadLoss(state)) === null;
    const isChecked = isSound && (await this.save(state));
    if (goesBack) await store.restore(best);
    if (goesBack || !isChecked) await requireFinite(adapter, store, step);
    this.requireOwn(state);
    hooks.rest?.();
  }
}
