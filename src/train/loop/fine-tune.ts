/**
 * @file The fine-tuning loop: steps, evaluations, checkpoints. It knows no path, no terminal and no name of a model. In one
 * file since all of it is about the state of one run.
 *
 * What a step does depends only on the request and its number: data order and dropout are functions of the seed and the
 * step, and parameters and optimizer state are what a checkpoint holds. So a resumed run ends bit-equal.
 */
import { FailedError } from "../../errors.ts";
import { clipFactor } from "../../optim/clip-factor.ts";
import { type Updater, createUpdater } from "../../optim/updater.ts";
import { BranchDropper } from "../dropbp/branch-dropper.ts";
import { divergence, noMovement, requireFinite } from "./checks.ts";
import { LOSS, isBetter, keepsBest } from "../eval-metrics.ts";
import { type Evaluation, Evaluator } from "../evaluate.ts";
import type { EvalEvent, SampleEvent, StepEvent } from "../events.ts";
import type { FineTuneRequest } from "./fine-tune-request.ts";
import { type Lane, type Lanes, type MicroBatchRunner, type OpenLanes, openLanes } from "../step/lanes.ts";
import { type MicroBatch, type StepOutcome, runStep } from "../step/objective-step.ts";
import { type RunState, firstState } from "./run-state.ts";
import { pacedBlocks } from "../power/paced-blocks.ts";
import { powerNumbers } from "../power/paced-events.ts";
import type { MicroBatchKey } from "../step/step-runner.ts";
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
  try {
    return yield* run.complete();
  } finally {
    await run.release();
  }
}

/** The compiled parts of a run. */
interface Parts {
  readonly open: OpenLanes;
  readonly evaluator: Evaluator | null;
  readonly updater: Updater;
  readonly dropper: BranchDropper | null;
}

class Run {
  readonly #request: FineTuneRequest;
  readonly #parts: Parts;
  #state: RunState;
  #evaluation: Evaluation | null = null;
  /** Of the newest checkpoint of this run; -1: there is none. */
  #savedStep: number;
  /** Looked at in the first step with a learning rate: a warm-up begins at 0. */
  #hasMoved = false;

  private constructor(request: FineTuneRequest, parts: Parts, resumed: RunState | null) {
    const { totalSteps, adapter, settings } = request;
    this.#request = request;
    this.#parts = parts;
    this.#state = resumed
      ? { ...resumed, max_steps: totalSteps, settings }
      : firstState(totalSteps, adapter.numTrained, settings);
    this.#savedStep = resumed?.global_step ?? -1;
  }

  static async start(request: FineTuneRequest): Promise<Run> {
    const { session, adapter, reference, objective, seed, store, dropBp, totalSteps } = request;
    const { optimizer, options } = request.optimizer;
    const updater = await createUpdater(session.engine, optimizer, options, adapter.groups, adapter.memory);
    const resumed = await store.resume(updater.state);
    const parts: Parts = {
      open: await openLanes(
        { ...request, betweenBlocks: pacedBlocks(request.hooks) },
        objective.objective,
        request.numLanes,
      ),
      evaluator:
        request.evaluation &&
        (await Evaluator.create(session, adapter, objective, reference, request.hooks.betweenBlocks)),
      updater,
      dropper:
        dropBp &&
        new BranchDropper(dropBp, session.model, { seed, totalSteps, resumed: resumed?.dropbp ?? null }),
    };
    return new Run(request, parts, resumed);
  }

  async *complete(): AsyncGenerator<StepEvent | EvalEvent | SampleEvent, FineTuneResult, void> {
    const { totalSteps, saveEverySteps, hooks, logEverySteps } = this.#request;
    yield* this.#look();
    while (this.#state.global_step < totalSteps && !this.#isOverfit()) {
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
      if (saveEverySteps !== null && this.#isDue(saveEverySteps)) await this.#save();
    }
    await this.#finish();
    return { state: this.#state, evaluation: this.#evaluation };
  }

  /** Every so many steps, and after the last. */
  #isDue(everySteps: number): boolean {
    const { global_step: step } = this.#state;
    return step % everySteps === 0 || step === this.#request.totalSteps;
  }

  /** Writes samples and evaluates, as far as that is due and not in the log: who was stopped meanwhile has it still to do. */
  async *#look(): AsyncGenerator<EvalEvent | SampleEvent, void, void> {
    const { hooks, evaluation } = this.#request;
    const isLacking = (event: string): boolean =>
      this.#state.log_history.findLast((entry) => entry["event"] === event)?.["step"] !==
      this.#state.global_step;
    if (hooks.samples && this.#isDue(hooks.samples.everySteps) && isLacking("sample"))
      yield* this.#writeSamples();
    if (evaluation && this.#isDue(evaluation.everySteps) && isLacking("eval")) yield* this.#evaluate();
  }

  #isOverfit(): boolean {
    const patience = this.#request.evaluation?.patience ?? null;
    return patience !== null && this.#state.evaluations_without_improvement >= patience;
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
    const { loss, metrics, numTokens, dropRate } = await this.#differentiate(index);
    const { gradientNorm, learningRate } = await this.#move(index, loss);
    this.#state = {
      ...this.#state,
      global_step: index + 1,
      epoch: (index + 1) / plan.stepsPerEpoch,
      trained_tokens: this.#state.trained_tokens + numTokens,
      dropbp: this.#parts.dropper?.state ?? null,
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

  /** Collects the gradients of a step. */
  async #differentiate(index: number): Promise<StepOutcome & { readonly dropRate: number | undefined }> {
    const { plan, toBatch, objective, maxLength, hooks } = this.#request;
    const { dropper } = this.#parts;
    const { lanes } = this.#parts.open;
    const [{ steps, scorer }] = lanes;
    const all = plan.microBatches(index).map((rows) => ({ units: rows.flat(), batch: toBatch(rows) }));
    const run = (
      microBatches: readonly MicroBatch[],
      on: Lanes<MicroBatchRunner>,
      begin?: (key: MicroBatchKey, lane: number) => void,
    ): Promise<StepOutcome> => runStep(on, objective, { step: index, microBatches, maxLength }, begin);
    if (dropper?.isDue(index)) {
      const measuring = dropper.measure(
        steps,
        (by) => run(all.slice(0, 1), [{ steps: by, scorer }]),
        hooks.signal,
      );
      await this.#stopWhenAborted(measuring);
    }
    const outcome = await run(all, lanes, (key, lane) => dropper?.begin((lanes[lane] as Lane).steps, key));
    return { ...outcome, dropRate: dropper?.endStep() };
  }

  /** Moves the parameters by the gradients that were collected. @throws FailedError "train/nan", "train/no-movement" */
  async #move(index: number, loss: number): Promise<{ gradientNorm: number; learningRate: number }> {
    const { adapter, totalSteps, store } = this.#request;
    const { schedule, learningRate: peak, warmupSteps, weightDecay, maxGradNorm } = this.#request.optimizer;
    const { gradients } = this.#parts.open.lanes[0].steps;
    const absent = gradients.finish();
    const gradientNorm = await gradients.norm();
    if (!Number.isFinite(loss) || !Number.isFinite(gradientNorm)) {
      throw await divergence(store, `loss ${loss}, gradient norm ${gradientNorm}`, index + 1);
    }
    const learningRate = peak * schedule.factor(index, totalSteps, warmupSteps);
    const canMove = learningRate > 0 && absent.length < adapter.parameters.length;
    const looks = !this.#hasMoved && canMove;
    const gradientScale = maxGradNorm > 0 ? clipFactor(gradientNorm, maxGradNorm) : 1;
    const update = { gradients: gradients.groups, gradientScale, learningRate, weightDecay };
    const hasMoved = await this.#parts.updater.step(update, looks);
    if (looks && !hasMoved) throw noMovement(index + 1, gradientNorm);
    this.#hasMoved ||= hasMoved;
    return { gradientNorm, learningRate };
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
    const { evaluator } = this.#parts;
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
    const { global_step: step, best_metric: best, evaluations_without_improvement: idle } = this.#state;
    const value = { ...evaluation, ...evaluation.metrics }[metric.key] as number;
    const better = isBetter(metric, value, best);
    this.#state = {
      ...this.#state,
      best_metric: better ? value : best,
      best_global_step: better ? step : this.#state.best_global_step,
      evaluations_without_improvement: better ? 0 : idle + 1,
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
    await store.save(this.#state, this.#parts.updater.state);
    this.#savedStep = step;
    return true;
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

  async #finish(): Promise<void> {
    const { adapter, store, evaluation } = this.#request;
    const { best_global_step: best, global_step: step } = this.#state;
    // From where the run is made longer.
    const isChecked = await this.#save();
    const goesBack = evaluation !== null && keepsBest(evaluation) && best !== null && best !== step;
    if (goesBack) await store.restore(best);
    if (goesBack || !isChecked) await requireFinite(adapter, store, step);
    this.#requireStore();
    this.#request.hooks.rest?.();
    await store.finish(this.#state);
  }

  async release(): Promise<void> {
    await this.#parts.open.release();
    await this.#parts.updater.release();
  }
}
