/**
 * @file The fine-tuning loop: steps, evaluations, checkpoints. It knows no path, no terminal and no name of a model.
 *
 * What a step does depends only on the request and its number: data order and dropout are functions of the seed and the
 * step, and parameters and optimizer state are what a checkpoint holds. So a resumed run ends bit-equal.
 */
import type { Batch, TrainingUnit } from "../data/batch.ts";
import type { StepPlan } from "../data/order.ts";
import { FailedError } from "../errors.ts";
import { clipFactor } from "../optim/clip-factor.ts";
import type { Optimizer } from "../optim/optimizer.ts";
import type { Schedule } from "../optim/schedule.ts";
import { type Updater, createUpdater } from "../optim/updater.ts";
import type { Adapter } from "../peft/attach.ts";
import type { BetweenBlocks } from "../run/forward-pass.ts";
import type { Session } from "../run/session.ts";
import { BranchDropper, type DropPlan } from "./dropbp/branch-dropper.ts";
import { divergence, noMovement, requireFinite, withWayOn } from "./checks.ts";
import { type EvalMetric, LOSS, isBetter, keepsBest } from "./eval-metrics.ts";
import { type Evaluation, Evaluator } from "./evaluate.ts";
import type { EvalEvent, SampleEvent, StepEvent } from "./events.ts";
import { type ChosenObjective, Scorer, runStep } from "./objective-step.ts";
import { type RunState, firstState } from "./run-state.ts";
import { pacedBlocks } from "./power/paced-blocks.ts";
import { powerNumbers } from "./power/paced-events.ts";
import type { Pacer } from "./power/pacer.ts";
import type { RunStore } from "./run-store.ts";
import type { SampleWriter } from "./samples.ts";
import { type ActivationPlace, type MicroBatchKey, StepRunner } from "./step-runner.ts";
import { trafficNumbers } from "./traffic-numbers.ts";

/** How parameters move. */
export interface OptimizerPlan {
  readonly optimizer: Optimizer;
  /** As its schema gives them. */
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
  /** Stops after the step in work, with a checkpoint. */
  readonly signal?: AbortSignal | undefined;
  /** Whether the store is still this run's to write; when not, it stops after the step in work, without a checkpoint. */
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

/** Holds steps to a pace. */
export type StepPacer = Pick<Pacer, "begin" | "betweenBlocks" | "end">;

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
  /** Compute activations twice instead of saving them. */
  readonly recompute: boolean;
  readonly activations?: ActivationPlace | undefined;
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
  } catch (error) {
    throw await withWayOn(error, request.store);
  } finally {
    await run.release();
  }
}

/** The compiled parts of a run. */
interface Parts {
  readonly steps: StepRunner;
  readonly scorer: Scorer;
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
    const {
      session,
      adapter,
      reference,
      objective,
      recompute,
      activations,
      seed,
      store,
      dropBp,
      totalSteps,
    } = request;
    const betweenBlocks = pacedBlocks(request.hooks);
    const { optimizer, options } = request.optimizer;
    const updater = await createUpdater(session.engine, optimizer, options, adapter.groups, adapter.memory);
    const resumed = await store.resume(updater.state);
    const parts: Parts = {
      steps: await StepRunner.create({ session, adapter, recompute, activations, seed, betweenBlocks }),
      scorer: await Scorer.create(session, { adapter, reference }, objective.objective, betweenBlocks),
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
    const { adapter, plan, totalSteps, toBatch, objective, maxLength, store } = this.#request;
    const { steps, scorer, updater, dropper } = this.#parts;
    const { schedule, learningRate: peak, warmupSteps, weightDecay, maxGradNorm } = this.#request.optimizer;
    const index = this.#state.global_step;
    const microBatches = plan.microBatches(index);
    const { gradients } = steps;
    const units = microBatches.map((rows) => rows.flat());
    const batches = microBatches.map((rows) => toBatch(rows));
    const run = (count: number, begin?: (key: MicroBatchKey) => void): ReturnType<typeof runStep> => {
      gradients.begin();
      const parts = [units.slice(0, count), batches.slice(0, count)] as const;
      return runStep(steps, scorer, objective, ...parts, index, maxLength, begin);
    };
    if (dropper?.isDue(index)) {
      await dropper.measure(steps, async () => {
        if (this.#request.hooks.signal?.aborted) await this.#stop();
        await run(1);
        gradients.finish();
      });
    }
    const { loss, metrics, numTokens } = await run(batches.length, (key) => dropper?.begin(steps, key));
    const dropRate = dropper?.endStep();
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
    const hasMoved = await updater.step(update, looks);
    if (looks && !hasMoved) throw noMovement(index + 1, gradientNorm);
    this.#hasMoved ||= hasMoved;
    this.#state = {
      ...this.#state,
      global_step: index + 1,
      epoch: (index + 1) / plan.stepsPerEpoch,
      trained_tokens: this.#state.trained_tokens + numTokens,
      dropbp: dropper && dropper.state,
    };
    const elapsedMs = performance.now() - startedMs;
    const paced = await this.#request.hooks.pacer?.end();
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
      peak_mb: this.#request.hooks.peakMegabytes(),
      ...trafficNumbers(this.#request.session.weights.memory.takeTraffic()),
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
    const { evaluator } = this.#parts;
    const { evaluation: plan, hooks } = this.#request;
    if (!evaluator || !plan) return;
    const { units, metric = LOSS } = plan;
    const evaluation = await evaluator
      .evaluate(
        units,
        (numDone) => numDone < units.length && hooks.signal?.throwIfAborted(),
        metric.needsPredictions,
      )
      .catch(async (error: unknown) => {
        if (hooks.signal?.aborted && error === hooks.signal.reason) await this.#stop();
        throw error;
      });
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
    await this.#parts.steps.release();
    await this.#parts.updater.release();
  }
}
