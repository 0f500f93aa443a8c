/**
 * @file The fine-tuning loop: steps, evaluations, checkpoints, and the result.
 *
 * What a step does depends only on the settings and its number: data order and dropout are functions of the seed and
 * the step, and parameters and optimizer state are what a checkpoint holds. So a resumed run ends bit-equal. Long because
 * every method of the run reads or moves where it stands.
 */
import { resolve } from "node:path";
import { stringify } from "yaml";
import { type TrainingExample, toBatch } from "../data/batch.ts";
import { FailedError } from "../errors.ts";
import { type GradientNorm, clipFactor, createGradientNorm } from "../optim/gradient-norm.ts";
import { findSchedule } from "../optim/schedules.ts";
import { type Updater, createUpdater } from "../optim/updater.ts";
import type { Method } from "../peft/method.ts";
import { createOrtEngine } from "../runtime/ort-node.ts";
import { divergence, requireFinite, requireMovement } from "./checks.ts";
import { type Evaluation, Evaluator } from "./evaluate.ts";
import type { DoneEvent, EvalEvent, StepEvent, TrainEvent } from "./events.ts";
import { fillRows } from "./fill-rows.ts";
import { lossChart } from "./files/loss-chart.ts";
import { type TrainInput, type TrainOptions, parseTrainOptions } from "./options.ts";
import { RunFolder, type RunState } from "./files/run-folder.ts";
import { type TrainingSetup, setUp } from "./files/setup.ts";
import { StepRunner } from "./step-runner.ts";

/** How a caller follows and stops a run. */
export interface TrainHooks {
  readonly onEvent?: (event: TrainEvent) => void;
  /** Stops after the step in work, with a checkpoint. */
  readonly signal?: AbortSignal;
  /** What `method` may name, those of the list unless given: a method of one's own goes in here. */
  readonly methods?: readonly Method[];
}

/** What a run ended with. */
export interface TrainResult extends DoneEvent {
  /** The last evaluation of this process; null when it made none. */
  readonly evaluation: Evaluation | null;
}

const CONFIG_FILE = "config.yaml";
/** Settings that may differ when a run goes on: they do not change its numbers. */
const FREE_SETTINGS = [
  "output",
  "resume",
  "overwrite",
  "threads",
  "logEvery",
  "saveEvery",
  "keepLast",
  "keepWidened",
];

/**
 * Fine-tunes a model and writes the result to a folder.
 * @throws UsageError, FormatError, CapacityError before anything is written; FailedError "train/nan",
 * "train/no-movement", "train/stopped" later, with the last good checkpoint in place.
 */
export async function train(input: TrainInput, hooks: TrainHooks = {}): Promise<TrainResult> {
  const options = parseTrainOptions(input, hooks.methods);
  const folder = new RunFolder(options.output);
  await (options.resume ? folder.checkResumable() : folder.check(options.overwrite));
  for (const key of ["model", "data", "evalData", "initAdapter"] as const) {
    if (!options.resume) folder.refuseInput(key, options[key]);
  }
  const setup = await setUp(options, hooks.methods);
  try {
    if (!options.resume) await folder.begin({ [CONFIG_FILE]: configText(options) });
    const run = await Run.start(options, setup, folder, hooks);
    try {
      return await run.complete();
    } finally {
      await run.release();
    }
  } finally {
    await setup.origin.checkpoint.close();
  }
}

/** What a run works with. */
interface RunParts {
  readonly options: TrainOptions;
  readonly setup: TrainingSetup;
  readonly folder: RunFolder;
  readonly hooks: TrainHooks;
  readonly steps: StepRunner;
  readonly evaluator: Evaluator | null;
  readonly updater: Updater;
  readonly norm: GradientNorm;
}

class Run {
  readonly #parts: RunParts;
  readonly #startedMs = performance.now();
  #state: RunState;
  #evaluation: Evaluation | null = null;
  #savedStep = -1;
  /** Looked at in the first step with a learning rate: a warm-up begins at 0. */
  #hasMoved = false;

  private constructor(parts: RunParts, state: RunState) {
    this.#parts = parts;
    this.#state = state;
  }

  static async start(
    options: TrainOptions,
    setup: TrainingSetup,
    folder: RunFolder,
    hooks: TrainHooks,
  ): Promise<Run> {
    const { base, adapter, optimizer, heldOut } = setup;
    const settings = Object.fromEntries(
      Object.entries(options).filter(([key, value]) => value !== undefined && !FREE_SETTINGS.includes(key)),
    );
    const resumed = options.resume ? await folder.resume(adapter, settings) : null;
    const { seed, threads } = options;
    const { recompute } = setup.memory;
    // Where activations are not kept for want of memory, neither is the programs' scratch.
    const engine = createOrtEngine({
      ...(threads === undefined ? {} : { threads }),
      keepScratch: !recompute,
    });
    const updater = await createUpdater(engine, optimizer, setup.optimizerOptions, adapter.values.length);
    for (const [slot, values] of Object.entries(resumed?.optimizer ?? {})) updater.state[slot]?.set(values);
    const parts: RunParts = {
      options,
      setup,
      folder,
      hooks,
      steps: await StepRunner.create({ engine, base, adapter, recompute, seed }),
      evaluator: heldOut ? await Evaluator.create(engine, base, adapter) : null,
      updater,
      norm: await createGradientNorm(engine),
    };
    return new Run(parts, resumed?.state ?? firstState(setup, settings));
  }

  #emit(event: TrainEvent): void {
    this.#parts.hooks.onEvent?.(event);
  }

  async complete(): Promise<TrainResult> {
    for (const message of this.#parts.setup.notes) this.#emit({ event: "note", message });
    const { totalSteps } = this.#parts.setup;
    if (this.#state.log_history.length === 0) await this.#evaluate();
    while (this.#state.global_step < totalSteps && !this.#isOverfit()) {
      if (this.#parts.hooks.signal?.aborted) await this.#stop();
      await this.#step();
      if (this.#isDue(this.#parts.options.evalEvery ?? this.#parts.setup.plan.stepsPerEpoch))
        await this.#evaluate();
      if (this.#parts.options.saveEvery !== undefined && this.#isDue(this.#parts.options.saveEvery))
        await this.#save();
    }
    return this.#finish();
  }

  /** Every so many steps, and after the last. */
  #isDue(everySteps: number): boolean {
    const { global_step: step } = this.#state;
    return step % everySteps === 0 || step === this.#parts.setup.totalSteps;
  }

  #isOverfit(): boolean {
    const patience = this.#parts.options.earlyStopping;
    return patience !== undefined && this.#state.evaluations_without_improvement >= patience;
  }

  async #step(): Promise<void> {
    const startedMs = performance.now();
    const { adapter, plan, totalSteps } = this.#parts.setup;
    const index = this.#state.global_step;
    const { warmupSteps, learningRate: peak, maxGradNorm, weightDecay } = this.#parts.options;
    const batches = plan.microBatches(index).map((rows) => this.#toBatch(rows));
    const numLabels = batches.reduce((sum, batch) => sum + batch.numLabels, 0);
    const { sink } = this.#parts.steps;
    sink.begin();
    let lossSum = 0;
    for (const [micro, batch] of batches.entries()) {
      lossSum += await this.#parts.steps.accumulate(batch, 1 / numLabels, index, micro);
    }
    sink.finish();
    const loss = lossSum / numLabels;
    const gradientNorm = await this.#parts.norm.norm(sink.values);
    if (!Number.isFinite(loss) || !Number.isFinite(gradientNorm)) {
      throw await divergence(this.#parts.folder, `loss ${loss}, gradient norm ${gradientNorm}`, index + 1);
    }
    const schedule = findSchedule(this.#parts.options.schedule);
    const learningRate = peak * schedule.factor(index, totalSteps, warmupSteps);
    const before = !this.#hasMoved && learningRate > 0 ? adapter.values.slice() : null;
    await this.#parts.updater.step({
      parameters: adapter.values,
      gradients: sink.values,
      gradientScale: maxGradNorm > 0 ? clipFactor(gradientNorm, maxGradNorm) : 1,
      learningRate,
      weightDecay,
      step: index + 1,
    });
    if (before) {
      requireMovement(before, adapter.values, index + 1, gradientNorm);
      this.#hasMoved = true;
    }
    const tokens = batches.reduce((sum, batch) => sum + batch.numTokens, 0);
    this.#state = {
      ...this.#state,
      global_step: index + 1,
      epoch: (index + 1) / plan.stepsPerEpoch,
      trained_tokens: this.#state.trained_tokens + tokens,
    };
    const event: StepEvent = {
      event: "step",
      step: index + 1,
      total_steps: totalSteps,
      epoch: this.#state.epoch,
      loss,
      learning_rate: learningRate,
      grad_norm: gradientNorm,
      tokens,
      tokens_per_second: tokens / ((performance.now() - startedMs) / 1000),
      peak_mb: peakMegabytes(),
    };
    await this.#record(event, this.#isDue(this.#parts.options.logEvery));
  }

  /** The log keeps every event; the caller is told those that are due. */
  async #record(event: StepEvent | EvalEvent, tell: boolean): Promise<void> {
    this.#state.log_history.push({ ...event });
    if (tell) {
      await this.#parts.folder.log({ ...event });
      this.#emit(event);
    }
  }

  #toBatch(rows: readonly (readonly TrainingExample[])[]): ReturnType<typeof toBatch> {
    return this.#parts.options.packing ? toBatch(rows) : toBatch(fillRows(rows.flat()));
  }

  async #evaluate(): Promise<void> {
    const { heldOut } = this.#parts.setup;
    if (!this.#parts.evaluator || !heldOut) return;
    const evaluation = await this.#parts.evaluator.evaluate(heldOut);
    this.#evaluation = evaluation;
    const { global_step: step, best_metric: best, evaluations_without_improvement: idle } = this.#state;
    const better = best === null || evaluation.loss < best;
    this.#state = {
      ...this.#state,
      best_metric: better ? evaluation.loss : best,
      best_global_step: better ? step : this.#state.best_global_step,
      evaluations_without_improvement: better ? 0 : idle + 1,
    };
    await this.#record({ event: "eval", step, ...evaluation }, true);
    if (better && this.#parts.options.earlyStopping !== undefined) await this.#save();
  }

  async #save(): Promise<void> {
    if (this.#savedStep === this.#state.global_step) return;
    const { adapter, origin } = this.#parts.setup;
    await requireFinite(adapter.values, this.#parts.folder, this.#state.global_step);
    await this.#parts.folder.save(
      adapter,
      origin,
      this.#parts.updater.state,
      this.#state,
      this.#parts.options.keepLast,
    );
    this.#savedStep = this.#state.global_step;
  }

  async #stop(): Promise<never> {
    await this.#save();
    throw new FailedError(
      "train/stopped",
      `Cannot finish: the run was stopped after step ${this.#state.global_step} of ${this.#parts.setup.totalSteps}`,
      { hint: "Go on with the same command and --resume" },
    );
  }

  async #finish(): Promise<TrainResult> {
    const { adapter, origin, base } = this.#parts.setup;
    const { best_global_step: best } = this.#state;
    if (
      this.#parts.options.earlyStopping !== undefined &&
      best !== null &&
      best !== this.#state.global_step
    ) {
      await this.#parts.folder.restore(adapter, best);
    }
    await requireFinite(adapter.values, this.#parts.folder, this.#state.global_step);
    const steps = this.#state.log_history.filter((e) => e["event"] === "step") as unknown as StepEvent[];
    const evaluations = this.#state.log_history.filter(
      (e) => e["event"] === "eval",
    ) as unknown as EvalEvent[];
    await this.#parts.folder.finish(adapter, origin, this.#state, {
      [CONFIG_FILE]: configText(this.#parts.options),
      "loss.svg": lossChart(`${this.#parts.options.method} on ${base.name}`, steps, evaluations),
    });
    const event: DoneEvent = {
      event: "done",
      output: this.#parts.options.output,
      steps: this.#state.global_step,
      trainable_parameters: adapter.values.length,
      seconds: (performance.now() - this.#startedMs) / 1000,
    };
    this.#emit(event);
    return { ...event, evaluation: this.#evaluation };
  }

  async release(): Promise<void> {
    await this.#parts.steps.release();
    await this.#parts.evaluator?.release();
    await this.#parts.updater.release();
    await this.#parts.norm.release();
  }
}

/** Where a new run stands. */
function firstState(
  { adapter, totalSteps }: TrainingSetup,
  settings: Readonly<Record<string, unknown>>,
): RunState {
  return {
    global_step: 0,
    max_steps: totalSteps,
    epoch: 0,
    best_metric: null,
    best_global_step: null,
    evaluations_without_improvement: 0,
    trained_tokens: 0,
    trainable_parameters: adapter.values.length,
    settings,
    log_history: [],
  };
}

/** The settings as they took effect, as a file that a new run can be started with. */
function configText({ resume: _resume, overwrite: _overwrite, ...settings }: TrainOptions): string {
  const given = Object.entries(settings).filter(([, value]) => value !== undefined);
  return stringify({ ...Object.fromEntries(given), output: resolve(settings.output) });
}

/** Largest resident memory of this process so far. */
export function peakMegabytes(): number {
  return Math.round(process.resourceUsage().maxRSS / 1024);
}
