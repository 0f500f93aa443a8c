/**
 * @file The fine-tuning loop: steps, evaluations, checkpoints, and the resulting state of the run. It knows no paths, no terminal and no
 * model names.
 *
 * What a step does depends only on the request, its number and the checkpointed state: data order and dropout are functions of the seed
 * and the step, and a checkpoint contains parameters and optimizer state. So the result of a resumed run is bit-equal.
 */
import { GraftError, UsageError } from "../../errors.ts";
import { type Updater, createUpdater } from "../../optim/updater.ts";
import { stopped } from "./checks.ts";
import { LOSS, isBetter, keepsBest } from "../eval-metrics.ts";
import { type Evaluation, Evaluator } from "../evaluate.ts";
import type { EvalEvent, SampleEvent, StepEvent } from "../events.ts";
import { withDefaults } from "./fine-tune-arguments.ts";
import type { FineTuneRequest } from "./fine-tune-request.ts";
import type { Adapter } from "../../peft/attach.ts";
import { requireOwnBase } from "../../peft/own-base.ts";
import { readStep } from "./readable.ts";
import { type RunState, firstState, withFound, withLength } from "./run-state.ts";
import { addStep, thinned, withStep } from "./step-history.ts";
import { SoundCheckpoints } from "./sound-checkpoints.ts";
import { powerNumbers } from "../power/paced-events.ts";
import { Stepper } from "./stepper.ts";
import type { MemoryTraffic } from "../../runtime/memory/vector-memory.ts";

/** The result of a run. */
export interface FineTuneResult {
  readonly state: RunState;
  /** The last evaluation in this process; null: there was none. */
  readonly evaluation: Evaluation | null;
}

/** Adapters that a run is training. */
const IN_TRAINING = new WeakSet<Adapter>();

/**
 * Trains an adapter in place on a session's model; yields each event after it has happened.
 * @throws UsageError "usage/flag" for an invalid request, "usage/state" while another run trains the adapter and after the session
 * was released, "usage/adapter" for one of another base, and as `Evaluator.evaluate` for examples; FailedError "train/nan",
 * "train/no-movement", "train/stopped", with the last good checkpoint in place
 */
export async function* fineTune(
  given: FineTuneRequest,
): AsyncGenerator<StepEvent | EvalEvent | SampleEvent, FineTuneResult, void> {
  const request = withDefaults(given);
  const { adapter } = request;
  requireIdle(adapter);
  IN_TRAINING.add(adapter);
  try {
    const run = await Run.start(request);
    let result: FineTuneResult;
    try {
      result = yield* run.complete();
    } finally {
      await run.release();
    }
    await request.store.finish(result.state);
    return result;
  } finally {
    IN_TRAINING.delete(adapter);
  }
}

/** @throws UsageError "usage/state" while another run trains the adapter: their updates would mix */
function requireIdle(adapter: Adapter): void {
  if (!IN_TRAINING.has(adapter)) return;
  throw new UsageError(
    "usage/state",
    `Cannot train an adapter of method "${adapter.method.name}": another run trains it, expected one at a time`,
    { hint: "Take the events of the other run to their end, or return() it; or attach another adapter." },
  );
}

class Run {
  readonly #request: FineTuneRequest;
  readonly #stepper: Stepper;
  readonly #evaluator: Evaluator | null;
  #state: RunState;
  #evaluation: Evaluation | null = null;
  readonly #checkpoints: SoundCheckpoints;

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
      ? {
          ...withLength(resumed, totalSteps),
          settings,
          log_history: thinned(resumed.log_history, resumed.global_step),
        }
      : firstState(totalSteps, adapter.numTrained, settings);
    this.#checkpoints = new SoundCheckpoints(request, stepper, resumed);
  }

  static async start(request: FineTuneRequest): Promise<Run> {
    const { session, adapter, reference, objective, store, hooks } = request;
    const { optimizer, options } = request.optimizer;
    const { plan, totalSteps } = request;
    await requireOwnBase(session.base, [adapter, reference]);
    // Later epochs are checked step by step: they may contain other examples if an epoch is a part of the data.
    for (let step = 0; step < Math.min(plan.stepsPerEpoch, totalSteps); step++)
      readStep(plan, step, session.model);
    const updater = await createUpdater(session.engine, optimizer, options, adapter);
    let opened: Updater | Stepper = updater;
    try {
      const resumed = await store.resume(updater.state);
      const stepper = await Stepper.open(request, updater, resumed?.dropbp ?? null);
      opened = stepper;
      const evaluator =
        request.evaluation &&
        (await Evaluator.create(session, adapter, {
          objective,
          reference,
          betweenBlocks: hooks.betweenBlocks,
        }));
      return new Run(request, stepper, evaluator, resumed);
    } catch (error) {
      await opened.release();
      throw error;
    }
  }

  async *complete(): AsyncGenerator<StepEvent | EvalEvent | SampleEvent, FineTuneResult, void> {
    const { saveEverySteps, hooks, logEverySteps } = this.#request;
    yield* this.#look();
    while (!this.#isOver()) {
      if (hooks.signal?.aborted) await this.#stop();
      await this.#beginStep();
      const event = await this.#step();
      this.#checkpoints.requireOwn(this.#state);
      this.#state = {
        ...this.#state,
        step_totals: addStep(this.#state.step_totals, { ...event }),
        log_history: withStep(this.#state.log_history, { ...event }),
      };
      if (this.#isDue(logEverySteps)) {
        await this.#request.store.log(event);
        yield event;
      }
      yield* this.#look();
      if (saveEverySteps !== null && this.#isDue(saveEverySteps) && !this.#isOver())
        await this.#checkpoints.save(this.#state);
    }
    await this.#checkpoints.conclude(this.#state);
    return { state: this.#state, evaluation: this.#evaluation };
  }

  /** Whether something done every so many steps, and after the last, is due. */
  #isDue(everySteps: number): boolean {
    const { global_step: step } = this.#state;
    return step % everySteps === 0 || step === this.#request.totalSteps;
  }

  /** Writes samples and evaluates, if due and not in the log yet: a run may have been stopped between step and evaluation. */
  async *#look(): AsyncGenerator<EvalEvent | SampleEvent, void, void> {
    const { hooks, evaluation } = this.#request;
    const isLacking = (event: string): boolean =>
      this.#state.log_history.findLast((entry) => entry["event"] === event)?.["step"] !==
      this.#state.global_step;
    if (hooks.samples && this.#isDue(hooks.samples.everySteps) && isLacking("sample"))
      yield* this.#writeSamples();
    if (evaluation && this.#isDue(evaluation.everySteps) && isLacking("eval")) yield* this.#evaluate();
  }

  /** Whether all steps are done, or the run stops early. */
  #isOver(): boolean {
    const { totalSteps, evaluation } = this.#request;
    const { global_step: step, evaluations_without_improvement: idle } = this.#state;
    return step >= totalSteps || idle >= (evaluation?.patience ?? Infinity);
  }

  /** If the pacer stops the run because the power state cannot be read, saves a checkpoint first, so that the run can be resumed. */
  async #beginStep(): Promise<void> {
    try {
      await this.#request.hooks.pacer?.begin(this.#state.global_step);
    } catch (error) {
      await this.#checkpoints.save(this.#state);
      throw error;
    }
  }

  async #step(): Promise<StepEvent> {
    const startedMs = performance.now();
    const { session, plan, totalSteps, hooks } = this.#request;
    const index = this.#state.global_step;
    await this.#stopWhenAborted(this.#stepper.measure(index));
    const outcome = await this.#stepper.differentiate(index);
    const { loss, metrics, numTokens, dropRate } = outcome;
    const { gradientNorm, learningRate } = await this.#stepper.move(index, outcome);
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
    const { samples: plan } = this.#request.hooks;
    const samples = plan
      ? await this.#stopWhenAborted(plan.write().catch((error: unknown) => this.#refuseSamples(error)))
      : [];
    for (const [index, sample] of samples.entries()) {
      const event: SampleEvent = { event: "sample", step: this.#state.global_step, index, ...sample };
      this.#state.log_history.push({ ...event });
      await this.#request.store.log(event);
      yield event;
    }
  }

  /** Throws an error of writing samples; if it reports NaN, which would blame the weights, throws that the run has diverged instead. */
  async #refuseSamples(error: unknown): Promise<never> {
    if (error instanceof GraftError && error.code === "engine/nan")
      await this.#checkpoints.requireSound(this.#state);
    throw error;
  }

  async *#evaluate(): AsyncGenerator<EvalEvent, void, void> {
    const evaluator = this.#evaluator;
    const { evaluation: plan, hooks } = this.#request;
    if (!evaluator || !plan) return;
    const { units, metric = LOSS } = plan;
    const evaluation = await this.#stopWhenAborted(
      evaluator.evaluate(units, {
        onProgress: (numDone) => numDone < units.length && hooks.signal?.throwIfAborted(),
        withPredictions: metric.needsPredictions,
      }),
    );
    this.#evaluation = evaluation;
    const { global_step: step, best_metric: best } = this.#state;
    const value = { ...evaluation, ...evaluation.metrics }[metric.key] as number;
    const better = isBetter(metric, value, best);
    this.#state = withFound(this.#state, { value, better, isOnlyAtEnd: step % plan.everySteps !== 0 });
    const { metrics, ...numbers } = evaluation;
    const event: EvalEvent = { event: "eval", step, ...numbers, ...metrics };
    this.#state.log_history.push({ ...event });
    await this.#request.store.log(event);
    yield event;
    if (better && keepsBest(plan)) await this.#checkpoints.save(this.#state);
  }

  /** Awaits work; if it throws the signal's reason, the run stops. */
  #stopWhenAborted<T>(work: Promise<T>): Promise<T> {
    const { signal } = this.#request.hooks;
    return work.catch((error: unknown) => {
      if (signal?.aborted && error === signal.reason) return this.#stop();
      throw error;
    });
  }

  async #stop(): Promise<never> {
    await this.#checkpoints.save(this.#state);
    const hint = "Continue with the same command and --resume.";
    throw stopped(this.#state.global_step, this.#request.totalSteps, hint);
  }

  async release(): Promise<void> {
    await this.#stepper.release();
  }
}

/** Returns the traffic in megabytes; empty if everything is in memory. */
function trafficNumbers(traffic: MemoryTraffic | null): Partial<StepEvent> {
  if (traffic === null) return {};
  const megabytes = (sizeBytes: number): number => Math.round(sizeBytes / 1e3) / 1e3;
  return {
    resident_mb: megabytes(traffic.peakBytes),
    shards_read_mb: megabytes(traffic.readBytes),
    shards_written_mb: megabytes(traffic.writtenBytes),
    evicted_mb: megabytes(traffic.evictedBytes),
  };
}
