/** @file The front door of training: from settings to a folder with what was trained. */
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
import { namesByContent } from "./files/making.ts";
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
  const startedMs = performance.now();
  const given = parseTrainOptions(input, hooks.methods);
  const keys = hooks.given ?? keysOf(input);
  const folder = new RunFolder(given.output, {
    logs: LOG_FORMATS.filter(({ name }) => given.log.includes(name)),
    hasSamples: given.samples !== undefined,
  });
  const look = (): Promise<void> => (given.resume ? folder.checkResumable() : folder.check(given.overwrite));
  await look();
  for (const key of ["model", "data", "evalData", "initAdapter", "samples"] as const) {
    if (given.resume || (key === "samples" && typeof given.samples !== "string")) continue;
    const paths: unknown[] = [given[key]].flat();
    for (const path of paths) if (typeof path === "string") folder.refuseInput(key, path);
  }
  const emit = (event: TrainEvent): void => hooks.onEvent?.(event);
  const lock = await lockRun(given.output, (message) => emit({ event: "note", message }));
  try {
    // Once more: another run may have ended meanwhile.
    await look();
    return await runLocked(given, keys, folder, hooks, emit, startedMs);
  } finally {
    await lock.release();
  }
}

function keysOf(input: TrainInput): ReadonlySet<string> {
  return new Set(Object.entries(input).flatMap(([key, value]) => (value === undefined ? [] : [key])));
}

/** Trains with the lock of the folder in hand. `keys`: of the settings that are no defaults. */
async function runLocked(
  given: TrainOptions,
  keys: ReadonlySet<string>,
  folder: RunFolder,
  hooks: TrainHooks,
  emit: (event: TrainEvent) => void,
  startedMs: number,
): Promise<TrainResult> {
  await folder.sweep();
  const begun = given.resume ? await begunWith(folder, given, keys) : {};
  const options = { ...given, ...begun };
  const opened = await openRun(options, hooks.methods, {
    signal: hooks.signal,
    env: hooks.env,
    onProgress: ({ file, numRows, totalRows }) =>
      emit({ event: "read", file, rows: numRows, total_rows: totalRows }),
  });
  try {
    // What a run began with is not chosen anew.
    const fitted = fitRun(opened, options, new Set([...keys, ...(given.resume ? PLANNED_SETTINGS : [])]));
    const budgetBytes = parseByteSize(fitted.prepared.options.residentMemory ?? "");
    const shards = new ShardFolder(folder.path);
    await shards.sweep(budgetBytes !== null);
    const pages = new LargePages();
    const memory =
      budgetBytes === null
        ? RESIDENT
        : new ShardMemory(budgetBytes, shards, given.shardDtype, (sizeBytes) => pages.reserve(sizeBytes));
    const activations = new ShardFolder(folder.path, ACTIVATIONS_FOLDER);
    await activations.sweep(findActivationForm(options.activations).usesDisk);
    try {
      const setup = await setUp(opened, fitted, memory, hooks.shared?.session.base);
      for (const message of describeFit(fitted)) emit({ event: "note", message });
      return await runIn({ folder, memory, activations }, setup, hooks, emit, startedMs);
    } finally {
      await shards.close();
      await activations.close();
    }
  } finally {
    await opened.checkpoint.close();
  }
}

/** Where a run keeps what. */
interface RunPlaces {
  readonly folder: RunFolder;
  /** Of parameters, gradients and optimizer state. */
  readonly memory: VectorMemory;
  /** Files of activations, for the forms that use some. */
  readonly activations: ShardFolder;
}

async function runIn(
  places: RunPlaces,
  setup: TrainingSetup,
  hooks: TrainHooks,
  emit: (event: TrainEvent) => void,
  startedMs: number,
): Promise<TrainResult> {
  const { folder, memory } = places;
  const { options } = setup;
  const tell = (message: string): void => emit({ event: "note", message });
  const session =
    hooks.shared?.session ?? (await openSessionOf(setup, memory, (message) => tell(`Warning: ${message}`)));
  try {
    const names = hooks.namesByContent ? await namesByContent(setup) : {};
    const request = requestOf(setup, session, places, emit, hooks, names);
    const samples = await openSamples(setup, session, hooks.makeSampleWriter, {
      signal: hooks.signal,
      betweenTokens: hooks.shared?.betweenBlocks,
    });
    if (!options.resume) await folder.begin({ [CONFIG_FILE]: configText(options) });
    for (const message of setup.notes) tell(message);
    emit(tellStart(setup));
    const tellNew = (): void => setup.base.takeNotes().forEach(tell);
    const run = fineTune({ ...request, hooks: { ...request.hooks, samples } });
    let next = await run.next().finally(tellNew);
    for (; !next.done; next = await run.next().finally(tellNew)) emit(next.value);
    const { state, evaluation } = next.value;
    const done = tellDone(setup, state, (performance.now() - startedMs) / 1000);
    emit(done);
    return { ...done, evaluation };
  } finally {
    if (!hooks.shared) await session.release();
  }
}

/**
 * What a run began with, where nothing else is asked for: its length, its rate whatever suits a new run by now, and what was
 * chosen to fit its memory.
 */
async function begunWith(
  folder: RunFolder,
  { steps, epochs, learningRate, warmupSteps, memory }: TrainOptions,
  keys: ReadonlySet<string>,
): Promise<Partial<TrainOptions>> {
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
    ...Object.fromEntries(Object.entries(chosen).filter(([key]) => !keys.has(key))),
  };
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

function requestOf(
  setup: TrainingSetup,
  session: Session,
  { folder, activations }: RunPlaces,
  emit: (event: TrainEvent) => void,
  { signal, shared, mayWrite, onCheckpoint = () => {}, goOnFrom }: TrainHooks,
  names: Readonly<Record<string, unknown>>,
): FineTuneRequest {
  const { options, adapter, origin, base, plan, totalSteps, memory, objective, reference } = setup;
  const { heldOut } = setup.data;
  const { warmupSteps, learningRate, maxGradNorm, weightDecay, maxLength, seed } = options;
  const settings = { ...numericSettings(withoutRows(options)), ...names };
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
      folder,
      adapter,
      origin,
      inputs: setup.inputs,
      resumes: options.resume,
      settings,
      totalSteps,
      tell: (message) => emit({ event: "note", message }),
      onResume: (state, checkpoint) => emit(tellResume(setup, checkpoint, state)),
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
      pacer: openPacer(options, signal, (message) => emit({ event: "note", message })),
    },
  };
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
