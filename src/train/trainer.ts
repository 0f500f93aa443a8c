/**
 * @file The front door of training: from settings to a folder with what was trained. In one file, so that it can be seen in
 * which order the folder is checked, locked and written, and what is given back when something fails.
 */
import { resolve } from "node:path";
import { stringify } from "yaml";
import type { Environment } from "../environment.ts";
import { type Batch, toBatch, type TrainingExample, type TrainingUnit } from "../data/batch.ts";
import { findSchedule } from "../optim/schedules.ts";
import type { Method } from "../peft/method.ts";
import { COMPUTES } from "../nn/computes.ts";
import type { BetweenBlocks } from "../run/forward-pass.ts";
import type { Session } from "../run/session.ts";
import { createEngine } from "../runtime/create-engine.ts";
import { LargePages } from "../runtime/large-pages.ts";
import { ShardMemory } from "../runtime/shard-memory.ts";
import { RESIDENT, type VectorMemory } from "../runtime/vector-memory.ts";
import { parseByteSize } from "../messages/byte-size.ts";
import { findEvalMetric } from "./eval-metrics.ts";
import type { Evaluation } from "./evaluate.ts";
import { findActivationForm } from "./activations/forms.ts";
import type { DoneEvent, TrainEvent } from "./events.ts";
import { type GoOnFrom, folderStore } from "./files/folder-store.ts";
import { LOG_FORMATS } from "./logs/log-formats.ts";
import { describeFit, fitRun } from "./files/fit-run.ts";
import { openRun, residencyOf } from "./files/prepare.ts";
import { dataContents, namesByContent } from "./files/making.ts";
import { lockRun } from "./files/run-lock.ts";
import { CONFIG_FILE, RunFolder } from "./files/run-folder.ts";
import { openPacer } from "./files/power/run-pacer.ts";
import { openSamples } from "./files/run-samples.ts";
import { RunReporter } from "./files/run-reporter.ts";
import { type TrainingSetup, setUp } from "./files/setup.ts";
import { ACTIVATIONS_FOLDER, ShardFolder } from "./files/shard-folder.ts";
import type { SettledOptions } from "./files/prepare.ts";
import { fineTune } from "./fine-tune.ts";
import type { FineTuneRequest } from "./fine-tune-request.ts";
import { unitsToBatch } from "./micro-batch.ts";
import { openSession } from "./open-session.ts";
import { type TrainInput, type TrainOptions, parseTrainOptions } from "./options.ts";
import { PLANNED_SETTINGS } from "./plan/alternatives.ts";
import { areRows, describeRows } from "./run-data.ts";
import type { MakeSampleWriter } from "./samples.ts";
import { numericSettings } from "./saved-settings.ts";
import { resultOf, tellDone, tellResume, tellStart } from "./tell-run.ts";

/** How a caller follows and stops a run. */
export interface TrainHooks {
  readonly onEvent?: (event: TrainEvent) => void;
  /** Stops after the step in work, with a checkpoint. */
  readonly signal?: AbortSignal;
  /** Whether the folder is still this run's; when not, it stops after the step in work and writes nothing more. */
  readonly mayWrite?: () => boolean;
  /** Environment that says where models and data are kept; the process's own by default. */
  readonly env?: Environment;
  /** Keys of the settings that are no defaults: those of the input unless told. */
  readonly given?: ReadonlySet<string>;
  /** What `method` may name, those of the list unless given: a method of one's own goes in here. */
  readonly methods?: readonly Method[];
  /** A model that is open already, to train on beside whoever else uses it; opened for the run alone unless given. */
  readonly shared?: SharedModel;
  /** Whether checkpoints name base and data by what they hold, not by their paths, so that the run goes on elsewhere. */
  readonly namesByContent?: boolean;
  /** Is told of each checkpoint that is written; older ones may be gone. */
  readonly onCheckpoint?: () => void;
  /** The adapter that takes the place of the run's own when it begins, or goes on, at this step. */
  readonly goOnFrom?: GoOnFrom;
  /** Makes what writes samples, where the settings name prompts. */
  readonly makeSampleWriter?: MakeSampleWriter;
}

/** An open model. Its arithmetic and the way in which it holds weights count, not those of the settings. */
export interface SharedModel {
  readonly session: Session;
  readonly betweenBlocks: BetweenBlocks;
  /** Is called before files are written: until the next block others may run. */
  readonly rest?: () => void;
}

/** What a run ended with. */
export interface TrainResult extends DoneEvent {
  /** The last evaluation of this process; null when it made none. */
  readonly evaluation: Evaluation | null;
}

/**
 * Fine-tunes a model and writes the result to a folder.
 * @throws UsageError, FormatError, CapacityError before anything is written; FailedError "train/nan",
 * "train/no-movement", "train/stopped" later, with the last good checkpoint in place.
 */
export async function train(input: TrainInput, hooks: TrainHooks = {}): Promise<TrainResult> {
  return await new Training(
    parseTrainOptions(input, hooks.methods),
    hooks.given ?? keysOf(input),
    hooks,
  ).run();
}

function keysOf(input: TrainInput): ReadonlySet<string> {
  return new Set(Object.entries(input).flatMap(([key, value]) => (value === undefined ? [] : [key])));
}

/** One run, for whoever asked for it. */
class Training {
  readonly #startedMs = performance.now();
  readonly #given: TrainOptions;
  /** Of the settings that are no defaults. */
  readonly #keys: ReadonlySet<string>;
  readonly #hooks: TrainHooks;
  readonly #folder: RunFolder;
  readonly #emit = (event: TrainEvent): void => this.#hooks.onEvent?.(event);
  readonly #tell = (message: string): void => this.#emit({ event: "note", message });

  constructor(given: TrainOptions, keys: ReadonlySet<string>, hooks: TrainHooks) {
    this.#given = given;
    this.#keys = keys;
    this.#hooks = hooks;
    this.#folder = new RunFolder(given.output, {
      logs: LOG_FORMATS.filter(({ name }) => given.log.includes(name)),
      hasSamples: given.samples !== undefined,
    });
  }

  async run(): Promise<TrainResult> {
    await this.#checkFolder();
    if (!this.#given.resume) this.#refuseInputs();
    const lock = await lockRun(this.#given.output, this.#tell);
    try {
      // Once more: another run may have ended meanwhile.
      await this.#checkFolder();
      return await this.#runLocked();
    } finally {
      await lock.release();
    }
  }

  async #checkFolder(): Promise<void> {
    await (this.#given.resume ? this.#folder.checkResumable() : this.#folder.check(this.#given.overwrite));
  }

  /** What is read is not to be written over. */
  #refuseInputs(): void {
    for (const key of ["model", "data", "evalData", "initAdapter", "samples"] as const) {
      const value = this.#given[key];
      if (key === "samples" && typeof value !== "string") continue;
      const paths: unknown[] = [value].flat();
      for (const path of paths) if (typeof path === "string") this.#folder.refuseInput(key, path);
    }
  }

  /** Trains with the lock of the folder in hand. */
  async #runLocked(): Promise<TrainResult> {
    const { methods, signal, env, shared } = this.#hooks;
    const { resume, shardDtype } = this.#given;
    const folder = this.#folder;
    await folder.sweep();
    const options = { ...this.#given, ...(resume ? await this.#begunWith() : {}) };
    const opened = await openRun(options, methods, {
      signal,
      env,
      onProgress: ({ file, numRows, totalRows }) =>
        this.#emit({ event: "read", file, rows: numRows, total_rows: totalRows }),
    });
    try {
      // What a run began with is not chosen anew.
      const fitted = fitRun(opened, options, new Set([...this.#keys, ...(resume ? PLANNED_SETTINGS : [])]));
      const budgetBytes = parseByteSize(fitted.prepared.options.residentMemory ?? "");
      const shards = new ShardFolder(folder.path);
      await shards.sweep(budgetBytes !== null);
      const pages = new LargePages();
      const memory =
        budgetBytes === null
          ? RESIDENT
          : new ShardMemory(budgetBytes, shards, shardDtype, (sizeBytes) => pages.reserve(sizeBytes));
      const activations = new ShardFolder(folder.path, ACTIVATIONS_FOLDER);
      await activations.sweep(findActivationForm(options.activations).usesDisk);
      try {
        const setup = await setUp(opened, fitted, memory, shared?.session.base);
        for (const message of describeFit(fitted)) this.#tell(message);
        return await this.#train(setup, memory, activations);
      } finally {
        await shards.close();
        await activations.close();
      }
    } finally {
      await opened.checkpoint.close();
    }
  }

  /**
   * What a run began with, where nothing else is asked for: its length, its rate whatever suits a new run by now, and what was
   * chosen to fit its memory.
   */
  async #begunWith(): Promise<Partial<TrainOptions>> {
    const { steps, epochs, learningRate, warmupSteps, memory } = this.#given;
    const folder = this.#folder;
    const length = steps === undefined && epochs === undefined ? await folder.savedLength() : {};
    const rates = await folder.savedRates();
    const chosen = memory === undefined ? {} : await folder.savedSettings(PLANNED_SETTINGS);
    return {
      ...length,
      ...(learningRate === undefined && rates.learningRate !== undefined
        ? { learningRate: rates.learningRate }
        : {}),
      ...(warmupSteps === undefined && rates.warmupSteps !== undefined
        ? { warmupSteps: rates.warmupSteps }
        : {}),
      ...Object.fromEntries(Object.entries(chosen).filter(([key]) => !this.#keys.has(key))),
    };
  }

  /** `memory`: of parameters, gradients and optimizer state; `activations`: their files, for the forms that use some. */
  async #train(setup: TrainingSetup, memory: VectorMemory, activations: ShardFolder): Promise<TrainResult> {
    const { shared, signal, makeSampleWriter } = this.#hooks;
    const { options } = setup;
    const warn = (message: string): void => this.#tell(`Warning: ${message}`);
    const session = shared?.session ?? (await openSessionOf(setup, memory, warn));
    try {
      const request = await this.#requestOf(setup, session, activations);
      const samples = await openSamples(setup, session, makeSampleWriter, {
        signal,
        betweenTokens: shared?.betweenBlocks,
      });
      if (!options.resume) await this.#folder.begin({ [CONFIG_FILE]: configText(options) });
      for (const message of setup.notes) this.#tell(message);
      this.#emit(tellStart(setup));
      const tellNew = (): void => setup.base.takeNotes().forEach(this.#tell);
      const run = fineTune({ ...request, hooks: { ...request.hooks, samples } });
      let next = await run.next().finally(tellNew);
      for (; !next.done; next = await run.next().finally(tellNew)) this.#emit(next.value);
      const { state, evaluation } = next.value;
      const done = tellDone(setup, state, (performance.now() - this.#startedMs) / 1000);
      this.#emit(done);
      return { ...done, evaluation };
    } finally {
      if (!shared) await session.release();
    }
  }

  /** What the loop is asked for. */
  async #requestOf(
    setup: TrainingSetup,
    session: Session,
    activations: ShardFolder,
  ): Promise<FineTuneRequest> {
    const { signal, shared, mayWrite, onCheckpoint = () => {}, goOnFrom } = this.#hooks;
    const { options, adapter, origin, base, plan, totalSteps, memory, objective, reference } = setup;
    const { heldOut } = setup.data;
    const { warmupSteps, learningRate, maxGradNorm, weightDecay, maxLength, seed } = options;
    const names = this.#hooks.namesByContent ? await namesByContent(setup) : {};
    const settings = { ...numericSettings(withoutRows(options)), ...dataContents(setup.inputs), ...names };
    const title = `${options.method} on ${base.name}`;
    return {
      session,
      adapter,
      plan,
      totalSteps,
      toBatch: (rows) => layOut(options, rows),
      maxLength,
      objective,
      reference,
      optimizer: {
        optimizer: setup.optimizer,
        options: setup.optimizerOptions,
        schedule: findSchedule(options.schedule),
        learningRate,
        warmupSteps,
        weightDecay,
        maxGradNorm,
      },
      evaluation: heldOut && {
        units: heldOut,
        everySteps: options.evalEvery ?? plan.stepsPerEpoch,
        patience: options.earlyStopping ?? null,
        metric: findEvalMetric(options.evalMetric, objective.objective),
        keepsBest: options.evalMetric !== undefined,
      },
      recompute: memory.recompute,
      activations: { form: findActivationForm(options.activations), disk: activations },
      dropBp: setup.dropBp,
      seed,
      store: folderStore({
        folder: this.#folder,
        adapter,
        origin,
        inputs: setup.inputs,
        resumes: options.resume,
        settings,
        totalSteps,
        tell: this.#tell,
        onResume: (state, checkpoint) => this.#emit(tellResume(setup, checkpoint, state)),
        onSave: onCheckpoint,
        goOnFrom,
        keepLast: options.keepLast,
        configText: configText(options),
        title,
        reporter: new RunReporter({
          title,
          start: tellStart(setup),
          result: resultOf(adapter),
          options: withoutRows(options),
          inputs: setup.inputs.facts,
          nowMs: Date.now,
        }),
        signal,
      }),
      saveEverySteps: options.saveEvery ?? null,
      logEverySteps: options.logEvery,
      settings,
      hooks: {
        signal,
        mayWrite,
        peakMegabytes,
        betweenBlocks: shared?.betweenBlocks,
        rest: shared?.rest,
        pacer: openPacer(options, signal, this.#tell),
      },
    };
  }
}

function openSessionOf(
  { options, base, memory, plan }: TrainingSetup,
  vectors: VectorMemory,
  warn: (message: string) => void,
): Promise<Session> {
  // Where activations are not saved for want of memory, programs have no scratch of their own.
  const engine = createEngine({ threads: options.threads, keepScratch: !memory.recompute });
  const [first = []] = plan.microBatches(0);
  const [compute, batch] = [COMPUTES[options.compute], layOut(options, first)];
  const { attentionChunk } = options;
  return openSession(engine, base, residencyOf(options), {
    compute,
    attentionChunk,
    memory: vectors,
    batch,
    warn,
  });
}

/** Lays the rows of a micro-batch out. */
function layOut({ packing }: TrainOptions, rows: readonly (readonly TrainingUnit[])[]): Batch {
  return packing ? toBatch(rows as readonly (readonly TrainingExample[])[]) : unitsToBatch(rows.flat());
}

/** Rows in memory are told by what they are: a run goes on with the same ones alone. */
function withoutRows(options: SettledOptions): SettledOptions {
  const told = (["data", "evalData"] as const).flatMap((key) => {
    const rows = options[key];
    return areRows(rows) ? [[key, describeRows(rows)]] : [];
  });
  return { ...options, ...(Object.fromEntries(told) as Pick<TrainOptions, "data">) };
}

/** The settings as they took effect, as a file that a new run can be started with. */
function configText(options: SettledOptions): string {
  const { resume: _resume, overwrite: _overwrite, ...settings } = withoutRows(options);
  const given = Object.entries(settings).filter(([, value]) => value !== undefined);
  return stringify({ ...Object.fromEntries(given), output: resolve(settings.output) });
}

/** Largest resident memory of this process so far. */
function peakMegabytes(): number {
  return Math.round(process.resourceUsage().maxRSS / 1024);
}
