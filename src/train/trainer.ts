/** @file The front door of training: from settings to a folder with what was trained. */
import { resolve } from "node:path";
import { stringify } from "yaml";
import { toBatch, type TrainingExample, type TrainingUnit } from "../data/batch.ts";
import { findSchedule } from "../optim/schedules.ts";
import type { Method } from "../peft/method.ts";
import { Session } from "../run/session.ts";
import { createEngine } from "../runtime/create-engine.ts";
import type { Evaluation } from "./evaluate.ts";
import type { DoneEvent, TrainEvent } from "./events.ts";
import { folderStore } from "./files/folder-store.ts";
import { CONFIG_FILE, RunFolder } from "./files/run-folder.ts";
import { type TrainingSetup, setUp } from "./files/setup.ts";
import { type FineTuneRequest, fineTune } from "./fine-tune.ts";
import { unitsToBatch } from "./micro-batch.ts";
import { type TrainInput, type TrainOptions, parseTrainOptions } from "./options.ts";
import { numericSettings } from "./saved-settings.ts";

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

/**
 * Fine-tunes a model and writes the result to a folder.
 * @throws UsageError, FormatError, CapacityError before anything is written; FailedError "train/nan",
 * "train/no-movement", "train/stopped" later, with the last good checkpoint in place.
 */
export async function train(input: TrainInput, hooks: TrainHooks = {}): Promise<TrainResult> {
  const startedMs = performance.now();
  const given = parseTrainOptions(input, hooks.methods);
  const folder = new RunFolder(given.output);
  await (given.resume ? folder.checkResumable() : folder.check(given.overwrite));
  for (const key of ["model", "data", "evalData", "initAdapter"] as const) {
    if (given.resume) continue;
    for (const path of [given[key] ?? []].flat()) folder.refuseInput(key, path);
  }
  // A run goes on with the rate that it began with, whatever suits a new one by now.
  const begun = given.resume ? await folder.savedRates() : {};
  const setup = await setUp({ ...begun, ...given }, hooks.methods);
  const { options } = setup;
  const session = openSession(setup);
  const emit = (event: TrainEvent): void => hooks.onEvent?.(event);
  try {
    if (!options.resume) await folder.begin({ [CONFIG_FILE]: configText(options) });
    const tell = (message: string): void => emit({ event: "note", message });
    for (const message of setup.notes) tell(message);
    const tellNew = (): void => setup.base.takeNotes().forEach(tell);
    const run = fineTune(requestOf(setup, session, folder, tell, hooks.signal));
    let next = await run.next().finally(tellNew);
    for (; !next.done; next = await run.next().finally(tellNew)) emit(next.value);
    const { state, evaluation } = next.value;
    const done: DoneEvent = {
      event: "done",
      output: options.output,
      steps: state.global_step,
      trainable_parameters: state.trainable_parameters,
      seconds: (performance.now() - startedMs) / 1000,
    };
    emit(done);
    return { ...done, evaluation };
  } finally {
    await session.release();
    await setup.origin.checkpoint.close();
  }
}

function openSession({ options: { threads, weights }, base, memory }: TrainingSetup): Session {
  // Where activations are not saved for want of memory, neither is the programs' scratch.
  const engine = createEngine({ threads, keepScratch: !memory.recompute });
  return new Session(engine, base, weights);
}

function requestOf(
  setup: TrainingSetup,
  session: Session,
  folder: RunFolder,
  tell: (note: string) => void,
  signal: AbortSignal | undefined,
): FineTuneRequest {
  const { options, adapter, origin, base, plan, totalSteps, heldOut, memory, objective, reference } = setup;
  const { warmupSteps, learningRate, maxGradNorm, weightDecay, maxLength, seed, packing } = options;
  const settings = numericSettings(options);
  return {
    session,
    adapter,
    plan,
    totalSteps,
    toBatch: (rows: readonly (readonly TrainingUnit[])[]) =>
      packing ? toBatch(rows as readonly (readonly TrainingExample[])[]) : unitsToBatch(rows.flat()),
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
    },
    recompute: memory.recompute,
    seed,
    store: folderStore({
      folder,
      adapter,
      origin,
      resumes: options.resume,
      settings,
      tell,
      keepLast: options.keepLast,
      configText: configText(options),
      title: `${options.method} on ${base.name}`,
    }),
    saveEverySteps: options.saveEvery ?? null,
    logEverySteps: options.logEvery,
    settings,
    hooks: { signal, peakMegabytes },
  };
}

/** The settings as they took effect, as a file that a new run can be started with. */
function configText({ resume: _resume, overwrite: _overwrite, ...settings }: TrainOptions): string {
  const given = Object.entries(settings).filter(([, value]) => value !== undefined);
  return stringify({ ...Object.fromEntries(given), output: resolve(settings.output) });
}

/** Largest resident memory of this process so far. */
function peakMegabytes(): number {
  return Math.round(process.resourceUsage().maxRSS / 1024);
}
