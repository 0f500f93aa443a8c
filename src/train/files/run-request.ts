/** @file Makes the request to the training loop from the settings of a run and from what they opened. */
import { resolve } from "node:path";
import { stringify } from "yaml";
import { type Batch, layRows } from "../../data/batches/batch.ts";
import type { TrainingExample, TrainingUnit } from "../../data/examples/training-unit.ts";
import { findSchedule } from "../../optim/schedules.ts";
import type { Session } from "../../run/session.ts";
import { findActivationForm } from "../activations/forms.ts";
import { findEvalMetric } from "../eval-metrics.ts";
import type { TrainEvent } from "../events.ts";
import type { EvaluationPlan, FineTuneRequest, OptimizerPlan } from "../loop/fine-tune-request.ts";
import type { RunState } from "../loop/run-state.ts";
import type { RunStore } from "../loop/run-store.ts";
import { layUnits } from "../step/micro-batch.ts";
import type { TrainOptions } from "../settings/options.ts";
import { areRows, describeRows } from "./data/data-names.ts";
import { numericSettings } from "../settings/saved-settings.ts";
import { resultOf, tellResume, tellStart } from "./tell-run.ts";
import type { TrainHooks } from "../train-hooks.ts";
import { folderStore } from "./folder/folder-store.ts";
import { dataContents, namesByContent } from "./provenance.ts";
import { openPacer } from "./power/run-pacer.ts";
import type { SettledOptions } from "./setup/prepare.ts";
import type { RunFolder } from "./folder/run-folder.ts";
import { RunReporter } from "./folder/run-reporter.ts";
import type { TrainingSetup } from "./setup/setup.ts";
import type { ShardFolder } from "./folder/shard-folder.ts";

/** Where a run takes place, and who is told of it. */
interface RunPlace {
  readonly folder: RunFolder;
  readonly session: Session;
  /** Files of activations, for the forms that use some. */
  readonly activations: ShardFolder;
  readonly hooks: TrainHooks;
  readonly emit: (event: TrainEvent) => void;
  readonly tell: (message: string) => void;
}

/** Says what the loop is asked for. */
export async function requestOf(setup: TrainingSetup, place: RunPlace): Promise<FineTuneRequest> {
  const { session, activations, hooks, tell } = place;
  const { signal, shared, mayWrite } = hooks;
  const { options, adapter, plan, totalSteps, memory, objective, reference } = setup;
  const names = hooks.namesByContent ? await namesByContent(setup) : {};
  const settings = { ...numericSettings(withoutRows(options)), ...dataContents(setup.inputs), ...names };
  return {
    session,
    adapter,
    plan,
    totalSteps,
    toBatch: (rows) => layMicroBatch(options, rows),
    maxLength: options.maxLength,
    objective,
    reference,
    optimizer: optimizerPlan(setup),
    evaluation: evaluationPlan(setup),
    recompute: memory.recompute,
    numLanes: options.dataParallel ?? 1,
    activations: { form: findActivationForm(options.activations), disk: activations },
    dropBp: setup.dropBp,
    seed: options.seed,
    store: storeOf(setup, place, settings),
    saveEverySteps: options.saveEvery ?? null,
    logEverySteps: options.logEvery,
    settings,
    hooks: {
      signal,
      mayWrite,
      peakMegabytes,
      betweenBlocks: shared?.betweenBlocks,
      rest: shared?.rest,
      pacer: openPacer(options, signal, tell),
    },
  };
}

function optimizerPlan({ optimizer, optimizerOptions, options }: TrainingSetup): OptimizerPlan {
  const { learningRate, warmupSteps, weightDecay, maxGradNorm } = options;
  const schedule = findSchedule(options.schedule);
  return {
    optimizer,
    options: optimizerOptions,
    schedule,
    learningRate,
    warmupSteps,
    weightDecay,
    maxGradNorm,
  };
}

function evaluationPlan({ data, plan, objective, options }: TrainingSetup): EvaluationPlan | null {
  if (data.heldOut === null) return null;
  return {
    units: data.heldOut,
    everySteps: options.evalEvery ?? plan.stepsPerEpoch,
    patience: options.earlyStopping ?? null,
    metric: findEvalMetric(options.evalMetric, objective.objective),
    keepsBest: options.evalMetric !== undefined,
  };
}

/** Where the run is kept, and who hears of it. */
function storeOf(
  setup: TrainingSetup,
  { folder, session, hooks, emit, tell }: RunPlace,
  settings: RunState["settings"],
): RunStore {
  const { signal, shared, onCheckpoint = () => {}, goOnFrom } = hooks;
  const { options, adapter, origin, base, inputs, totalSteps } = setup;
  const title = `${options.method} on ${base.name}`;
  return folderStore({
    folder,
    adapter,
    origin,
    inputs,
    resumes: options.resume,
    settings,
    totalSteps,
    tell,
    onResume: (state, checkpoint) => emit(tellResume(setup, checkpoint, state)),
    onSave: onCheckpoint,
    onFinish: () => (shared ? session.pool.clear() : session.release()),
    goOnFrom,
    keepLast: options.keepLast,
    configText: configText(options),
    title,
    reporter: reporterOf(setup, title),
    signal,
  });
}

/** What writes the report of a run. */
function reporterOf(setup: TrainingSetup, title: string): RunReporter {
  const { options, adapter, objective, optimizerOptions, inputs } = setup;
  return new RunReporter({
    title,
    start: tellStart(setup),
    result: resultOf(adapter),
    options: withoutRows(options),
    ownOptions: Object.assign(
      { objective: objective.objective.name },
      adapter.options,
      optimizerOptions,
      objective.options,
    ),
    inputs: inputs.facts,
    nowMs: Date.now,
  });
}

/** Lays the rows of a micro-batch out. */
export function layMicroBatch({ packing }: TrainOptions, rows: readonly (readonly TrainingUnit[])[]): Batch {
  return packing ? layRows(rows as readonly (readonly TrainingExample[])[]) : layUnits(rows.flat());
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
export function configText(options: SettledOptions): string {
  const { resume: _resume, overwrite: _overwrite, ...settings } = withoutRows(options);
  const given = Object.entries(settings).filter(([, value]) => value !== undefined);
  return stringify({ ...Object.fromEntries(given), output: resolve(settings.output) });
}

/** Largest resident memory of this process so far. */
function peakMegabytes(): number {
  return Math.round(process.resourceUsage().maxRSS / 1024);
}
