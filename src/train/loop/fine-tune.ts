/**
 * @file The fine-tuning loop: steps, evaluations, checkpoints, and the state of the run that they make. It knows no path, no
 * terminal and no name of a model.
 *
 * What a step does depends only on the request and its number: data order and dropout are functions of the seed and the
 * step, and parameters and optimizer state are what a checkpoint holds. So a resumed run ends bit-equal.
 */
import { FailedError } from "../../errors.ts";
import { createUpdater } from "../../optim/updater.ts";
import { divergence, requireFinite } from "./checks.ts";
import { LOSS, isBetter, keepsBest } from "../eval-metrics.ts";
import { type Evaluation, Evaluator } from "../evaluate.ts";
import type { EvalEvent, SampleEvent, StepEvent } from "../events.ts";
import type { FineTuneRequest } from "./fine-tune-request.ts";
import { type RunState, firstState, withLength } from "./run-state.ts";
import { powerNumbers } from "../power/paced-events.ts";
import { Stepper } from "./stepper.ts";
import { trafficNumbers } from "./traffic-numbers.ts";

/** What a run ended with. */
export interface FineTuneResult {
  readonly state: RunState;
  /** The last evaluation of this process; null when it made none. */
  readonly evaluation: Evaluation | null;
}

/**
 * Trains an adapter on a session's model; gives each event when it has happened. What was trained is in the adapter.
 * @throws FailedError "train/nan", "train/no-movement", "train/stopped", with the last good checkpoint in place
 */
export async function* fineTune(
  request: FineTuneRequest,
): AsyncGenerator<StepEvent | EvalEvent | SampleEvent, FineTuneResult, void> {
  const run = await Run.start(request);
  let result: FineTuneResult;
  try {
    result = yield* run.complete();
  } finally {
    await run.release();
  }
  await request.store.finish(result.state);
  return result;
}

class Run {
  readonly #request: FineTuneRequest;
  readonly #stepper: Stepper;
  readonly #evaluator: Evaluator | null;
  #state: RunState;
  #evaluation: Evaluation | null = null;
  /** Step of the newest checkpoint of this run; -1: there is none. */
  #savedStep: number;

  private constructor(
    request: FineTuneRequest,
    stepper: Stepper,
    evaluator: Evaluator | null,
    resumed: RunState | null,
  ) {
    const { totalSteps, adapter, settings } = request;
    this.#request = request;
    this.#stepper = stepper;
    this.#evaluator = evaluator;
    this.#state = resumed
      ? { ...withLength(resumed, totalSteps), settings }
      : firstState(totalSteps, adapter.numTrained, settings);
    this.#savedStep = resumed?.global_step ?? -1;
  }

  static async start(request: FineTuneRequest): Promise<Run> {
    const { session, adapter, reference, objective, store, hooks } = request;
    const { optimizer, options } = request.optimizer;
    const updater = await createUpdater(session.engine, optimizer, options, adapter.groups, adapter.memory);
    const resumed = await store.resume(updater.state);
    const stepper = await Stepper.open(request, updater, resumed?.dropbp ?? null);
    const evaluator =
      request.evaluation &&
      (await Evaluator.create(session, adapter, objective, reference, hooks.betweenBlocks));
    return new Run(request, stepper, evaluator, resumed);
  }

  async *complete(): AsyncGenerator<StepEvent | EvalEvent | SampleEvent, FineTuneResult, void> {
    const { saveEverySteps, hooks, logEverySteps } = this.#request;
    yield* this.#look();
    while (!this.#isOver()) {
      if (hooks.signal?.aborted) await this.#stop();
      await this.#beginStep();
      const event = await this.#step();
      this.#requireStore();
      this.#state.log_history.push({ ...event });
      if (this.#isDue(logEverySteps)) {
        await this.#request.store.log(event);
        yield event;
      }
      yield* this.#look();
      if (saveEverySteps !== null && this.#isDue(saveEverySteps) && !this.#isOver()) await this.#save();
    }
    await this.#conclude();
    return { state: this.#state, evaluation: this.#evaluation };
  }

  /** Every so many steps, and after the last. */
  #isDue(everySteps: number): boolean {
    const { global_step: step } = this.#state;
    return step % everySteps === 0 || step === this.#request.totalSteps;
  }

  /** Writes samples and evaluates, as far as that is due and not in the log: a run that was stopped meanwhile has it still to do. */
  async *#look(): AsyncGenerator<EvalEvent | SampleEvent, void, void> {
    const { hooks, evaluation } = this.#request;
    const isLacking = (event: string): boolean =>
      this.#state.log_history.findLast((entry) => entry["event"] === event)?.["step"] !==
      this.#state.global_step;
    if (hooks.samples && this.#isDue(hooks.samples.everySteps) && isLacking("sample"))
      yield* this.#writeSamples();
    if (evaluation && this.#isDue(evaluation.everySteps) && isLacking("eval")) yield* this.#evaluate();
  }

  /** Whether no step is left, or none would make it better. */
  #isOver(): boolean {
    const { totalSteps, evaluation } = this.#request;
    const { global_step: step, evaluations_without_improvement: idle } = this.#state;
    return step >= totalSteps || idle >= (evaluation?.patience ?? Infinity);
  }

  /** Where the device says nothing and the run is to stop then, it can be resumed. */
  async #beginStep(): Promise<void> {
    try {
      await this.#request.hooks.pacer?.begin(this.#state.global_step);
    } catch (error) {
      await this.#save();
      throw error;
    }
  }

  async #step(): Promise<StepEvent> {
    const startedMs = performance.now();
    const { session, plan, totalSteps, hooks } = this.#request;
    const index = this.#state.global_step;
    await this.#stopWhenAborted(this.#stepper.measure(index));
    const { loss, metrics, numTokens, dropRate } = await this.#stepper.differentiate(index);
    const { gradientNorm, learningRate } = await this.#stepper.move(index, loss);
    this.#state = {
      ...this.#state,
      global_step: index + 1,
      epoch: (index + 1) / plan.stepsPerEpoch,
      trained_tokens: this.#state.trained_tokens + numTokens,
      dropbp: this.#stepper.dropBp,
    };
    const elapsedMs = performance.now() - startedMs;
    const paced = await hooks.pacer?.end();
    return {
      event: "step",
      step: index + 1,
      total_steps: totalSteps,
      epoch: this.#state.epoch,
      loss,
      learning_rate: learningRate,
      grad_norm: gradientNorm,
      tokens: numTokens,
      tokens_per_second: numTokens / ((paced?.busyMs ?? elapsedMs) / 1000),
      peak_mb: hooks.peakMegabytes(),
      ...trafficNumbers(session.weights.memory.takeTraffic()),
      ...(dropRate === undefined ? {} : { drop_rate: dropRate }),
      ...(paced ? powerNumbers(paced, numTokens) : {}),
      ...metrics,
    };
  }

  async *#writeSamples(): AsyncGenerator<SampleEvent, void, void> {
    const samples = (await this.#request.hooks.samples?.write()) ?? [];
    for (const [index, sample] of samples.entries()) {
      const event: SampleEvent = { event: "sample", step: this.#state.global_step, index, ...sample };
      this.#state.log_history.push({ ...event });
      await this.#request.store.log(event);
      yield event;
    }
  }

  async *#evaluate(): AsyncGenerator<EvalEvent, void, void> {
    const evaluator = this.#evaluator;
    const { evaluation: plan, hooks } = this.#request;
    if (!evaluator || !plan) return;
    const { units, metric = LOSS } = plan;
    const evaluation = await this.#stopWhenAborted(
      evaluator.evaluate(
        units,
        (numDone) => numDone < units.length && hooks.signal?.throwIfAborted(),
        metric.needsPredictions,
      ),
    );
    this.#evaluation = evaluation;
    const {
      global_step: step,
      best_metric: best,
      best_global_step: bestStep,
      evaluations_without_improvement: idle,
    } = this.#state;
    const before = { best_metric: best, best_global_step: bestStep, evaluations_without_improvement: idle };
    const value = { ...evaluation, ...evaluation.metrics }[metric.key] as number;
    const better = isBetter(metric, value, best);
    this.#state = {
      ...this.#state,
      best_metric: better ? value : best,
      best_global_step: better ? step : bestStep,
      evaluations_without_improvement: better ? 0 : idle + 1,
      found_before_end: step % plan.everySteps === 0 ? null : before,
    };
    const { metrics, ...numbers } = evaluation;
    const event: EvalEvent = { event: "eval", step, ...numbers, ...metrics };
    this.#state.log_history.push({ ...event });
    await this.#request.store.log(event);
    yield event;
    if (better && keepsBest(plan)) await this.#save();
  }

  /** Returns whether anything was left to save. */
  async #save(): Promise<boolean> {
    const { adapter, store } = this.#request;
    const { global_step: step } = this.#state;
    if (this.#savedStep === step) return false;
    this.#requireStore();
    this.#request.hooks.rest?.();
    await requireFinite(adapter, store, step);
    const found = await this.#findBadLoss();
    if (found !== null) throw await divergence(store, found, step);
    await store.save(this.#state, this.#stepper.optimizerState);
    this.#savedStep = step;
    return true;
  }

  /**
   * Says what held-out data or, where they were not looked at, those of the step find in parameters that are finite; null: a
   * loss that is a number.
   */
  async #findBadLoss(): Promise<string | null> {
    const { global_step: step, log_history: log } = this.#state;
    if (step === 0) return null;
    const told = log.findLast(({ event }) => event === "eval");
    const isTold = told?.["step"] === step;
    const loss = isTold ? Number(told["loss"]) : await this.#stepper.lossNow(step - 1);
    this.#request.hooks.rest?.();
    if (Number.isFinite(loss)) return null;
    return isTold ? `validation loss ${loss}` : `the loss is ${loss} after the parameters moved`;
  }

  #requireStore(): void {
    if (this.#request.hooks.mayWrite?.() ?? true) return;
    throw this.#stopped("Somebody else goes on with the run.");
  }

  /** Waits for work that throws the signal's reason: then the run stops. */
  #stopWhenAborted<T>(work: Promise<T>): Promise<T> {
    const { signal } = this.#request.hooks;
    return work.catch((error: unknown) => {
      if (signal?.aborted && error === signal.reason) return this.#stop();
      throw error;
    });
  }

  async #stop(): Promise<never> {
    await this.#save();
    throw this.#stopped("Go on with the same command and --resume.");
  }

  #stopped(hint: string): FailedError {
    return new FailedError(
      "train/stopped",
      `Cannot finish: the run was stopped after step ${this.#state.global_step} of ${this.#request.totalSteps}`,
      { hint },
    );
  }

  /** Makes the adapter what the run is to give. */
  async #conclude(): Promise<void> {
    const { adapter, store, evaluation } = this.#request;
    const { best_global_step: best, global_step: step } = this.#state;
    const goesBack = evaluation !== null && keepsBest(evaluation) && best !== null && best !== step;
    // From where the run is made longer: from an earlier one where nothing can be computed with the last parameters.
    const isSound = !goesBack || (await this.#findBadLoss()) === null;
    const isChecked = isSound && (await this.#save());
    if (goesBack) await store.restore(best);
    if (goesBack || !isChecked) await requireFinite(adapter, store, step);
    this.#requireStore();
    this.#request.hooks.rest?.();
  }

  async release(): Promise<void> {
    await this.#stepper.release();
  }
}
