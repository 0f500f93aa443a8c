/**
 * @file The entry point of training: from settings to a folder with the result. One file, so that it shows the order in which the
 * folder is checked, locked and written, and what is released when something fails.
 */
import { COMPUTES } from "../nn/computes.ts";
import type { Session } from "../run/session.ts";
import { createEngine } from "../runtime/create-engine.ts";
import { withListener } from "../runtime/listener.ts";
import type { VectorMemory } from "../runtime/memory/vector-memory.ts";
import { parseByteSize } from "../messages/byte-size.ts";
import type { Evaluation } from "./evaluate.ts";
import { withWayOn } from "./loop/checks.ts";
import { findActivationForm } from "./activations/forms.ts";
import { describeSkipped } from "./dropbp/branch-dropper.ts";
import type { DoneEvent, TrainEvent } from "./events.ts";
import { LOG_FORMATS } from "./logs/log-formats.ts";
import { type FittedRun, describeFit, fitRun } from "./files/setup/fit-run.ts";
import { HeapGrowth } from "./files/setup/heap-growth.ts";
import { openPowerSource } from "./files/power/power-sources.ts";
import { type OpenedRun, openRun } from "./files/setup/prepare.ts";
import { residencyOf } from "./files/setup/run-choices.ts";
import { lockRun } from "./files/folder/run-lock.ts";
import { begunWith } from "./files/folder/begun-with.ts";
import { withParameterMemory } from "./files/folder/parameter-memory.ts";
import { RUN_FILES } from "./files/folder/run-files.ts";
import { RunFolder } from "./files/folder/run-folder.ts";
import { configText } from "./files/config-text.ts";
import { layMicroBatch, requestOf } from "./files/run-request.ts";
import { openSamples } from "./files/run-samples.ts";
import { type TrainingSetup, setUp } from "./files/setup/setup.ts";
import { ACTIVATIONS_FOLDER, ShardFolder } from "./files/folder/shard-folder.ts";
import { fineTune } from "./loop/fine-tune.ts";
import type { FineTuneRequest } from "./loop/fine-tune-request.ts";
import { openSession } from "./open-session.ts";
import { choicesOf } from "./settings/choices.ts";
import { type LooseTrainInput, type TrainOptions, parseTrainOptions } from "./settings/options.ts";
import { PLANNED_SETTINGS } from "./plan/alternatives.ts";
import { tellDone, tellStart } from "./files/tell-run.ts";
import { checkArguments } from "../messages/arguments.ts";
import { HOOKS, type TrainHooks } from "./train-hooks.ts";

/** The result of a run. */
export interface TrainResult extends DoneEvent {
  /** The last evaluation in this process; null: there was none. */
  readonly evaluation: Evaluation | null;
}

/**
 * Fine-tunes a model and writes the result to a folder.
 * @throws UsageError, FormatError, CapacityError before anything is written; FailedError "train/nan",
 * "train/no-movement", "train/stopped" later, with the last good checkpoint in place.
 */
export async function train(input: LooseTrainInput, hooks: TrainHooks = {}): Promise<TrainResult> {
  checkArguments("train", HOOKS, { hooks });
  const options = parseTrainOptions(input, choicesOf(hooks));
  return await withListener(hooks.onEvent, (onEvent) =>
    new Training(options, hooks.given ?? givenKeys(input), { ...hooks, onEvent }).run(),
  );
}

function givenKeys(input: LooseTrainInput): ReadonlySet<string> {
  return new Set(Object.entries(input).flatMap(([key, value]) => (value === undefined ? [] : [key])));
}

/** One run. */
class Training {
  readonly #startedMs = performance.now();
  readonly #given: TrainOptions;
  /** Keys of the settings that the user has set. */
  readonly #keys: ReadonlySet<string>;
  readonly #hooks: TrainHooks;
  readonly #folder: RunFolder;
  readonly #emit = (event: TrainEvent): void => this.#hooks.onEvent?.(event);
  readonly #tell = (message: string): void => this.#emit({ event: "note", level: "info", message });
  readonly #warn = (message: string): void => this.#emit({ event: "note", level: "warn", message });

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
    const lock = await lockRun(this.#folder.path, this.#warn);
    try {
      // Checked again under the lock: another run may have ended meanwhile.
      await this.#checkFolder();
      return await this.#runLocked();
    } finally {
      await lock.release();
    }
  }

  async #checkFolder(): Promise<void> {
    await (this.#given.resume ? this.#folder.checkpoints.requireSome() : this.#folder.check(this.#given));
  }

  /** Refuses an output folder that would overwrite an input. */
  #refuseInputs(): void {
    for (const key of ["model", "data", "evalData", "initAdapter", "samples"] as const) {
      const value = this.#given[key];
      if (key === "samples" && typeof value !== "string") continue;
      const paths: unknown[] = [value].flat();
      for (const path of paths) if (typeof path === "string") this.#folder.refuseInput(key, path);
    }
  }

  /** Trains while the folder is locked. */
  async #runLocked(): Promise<TrainResult> {
    const { signal, env, shared } = this.#hooks;
    const { resume } = this.#given;
    await this.#folder.sweep();
    const options = {
      ...this.#given,
      ...(resume ? await begunWith(this.#folder, this.#given, this.#keys) : {}),
    };
    // Reports a missing program before anything is read.
    if (options.power !== undefined) openPowerSource(options.power);
    const opened = await openRun(options, choicesOf(this.#hooks), {
      signal,
      env,
      tokenizer: shared?.tokenizer,
      onProgress: ({ file, numRows, totalRows }) =>
        this.#emit({ event: "read", file, rows: numRows, total_rows: totalRows }),
    });
    try {
      // A resumed run keeps the plan that it began with.
      const keys = new Set([...this.#keys, ...(resume ? PLANNED_SETTINGS : [])]);
      const fitted = await fitRun(opened, keys, {
        fixed: this.#hooks.fixed,
        signal,
        onProgress: ({ numPlans, totalPlans }) =>
          this.#emit({ event: "fit", plans: numPlans, total_plans: totalPlans }),
      });
      return await this.#trainFitted(opened, fitted);
    } finally {
      await opened.checkpoint.close();
    }
  }

  /** Trains a run that fits in memory, with the files of parameters and activations that wait on the disk. */
  async #trainFitted(opened: OpenedRun, fitted: FittedRun): Promise<TrainResult> {
    const { path } = this.#folder;
    const shards = new ShardFolder(path);
    const activations = new ShardFolder(path, ACTIVATIONS_FOLDER);
    const { residentMemory, activations: form } = fitted.prepared.options;
    const budgetBytes = parseByteSize(residentMemory ?? "");
    await shards.sweep({ isNeeded: budgetBytes !== null });
    await activations.sweep({ isNeeded: findActivationForm(form).usesDisk });
    try {
      const takenBytes = fitted.prepared.checkpoint.heldBytes;
      return await withParameterMemory(
        shards,
        { budgetBytes, frozenDtype: this.#given.shardDtype, takenBytes },
        async (memory) => {
          const setup = await setUp(opened, fitted, memory, this.#hooks.shared?.session.base);
          try {
            describeFit(fitted).forEach(this.#tell);
            return await this.#train(setup, memory, activations);
          } finally {
            setup.release();
          }
        },
      );
    } finally {
      await shards.close().finally(() => activations.close());
    }
  }

  /** `memory`: of parameters, gradients and optimizer state; `activations`: files of activations, for forms that use them. */
  async #train(setup: TrainingSetup, memory: VectorMemory, activations: ShardFolder): Promise<TrainResult> {
    const { shared, signal, makeSampleWriter } = this.#hooks;
    const { options } = setup;
    const session = shared?.session.withOwnPrograms() ?? (await openSessionOf(setup, memory, this.#warn));
    try {
      const request = await requestOf(setup, {
        folder: this.#folder,
        session,
        activations,
        hooks: this.#hooks,
        emit: this.#emit,
        warn: this.#warn,
      });
      const samples = await openSamples(setup, session, makeSampleWriter, {
        signal,
        betweenTokens: shared?.betweenBlocks,
      });
      if (!options.resume) {
        const config = configText({ ...options, output: this.#folder.path });
        await this.#folder.begin({ [RUN_FILES.config]: config });
      }
      setup.notes.forEach(this.#tell);
      setup.data.warnings.forEach(this.#warn);
      this.#emit(tellStart(setup));
      return await this.#runSteps(setup, { ...request, hooks: { ...request.hooks, samples } });
    } finally {
      await session.release();
    }
  }

  /** Runs the steps of a training, and reports each. */
  async #runSteps(setup: TrainingSetup, request: FineTuneRequest): Promise<TrainResult> {
    const tellNew = (): void => setup.base.takeNotes().forEach(this.#warn);
    const run = fineTune(request);
    const step = async (): ReturnType<typeof run.next> => {
      try {
        return await run.next();
      } catch (error) {
        throw await withWayOn(error, request.store, setup.options);
      } finally {
        tellNew();
      }
    };
    try {
      // Not in a server, whose heap is large and whose texts would wait for a collection.
      const heap = this.#hooks.shared ? null : new HeapGrowth();
      let next = await step();
      for (; !next.done; next = await step()) {
        this.#emit(next.value);
        heap?.collect();
      }
      const { state, evaluation } = next.value;
      if (state.dropbp) describeSkipped(state.dropbp).forEach(this.#warn);
      const done = tellDone(setup, state, (performance.now() - this.#startedMs) / 1000);
      this.#emit(done);
      return { ...done, evaluation };
    } finally {
      // Ends the generator if a hook has thrown.
      await run.return(null as never);
    }
  }
}

function openSessionOf(
  { options, base, plan }: TrainingSetup,
  vectors: VectorMemory,
  warn: (message: string) => void,
): Promise<Session> {
  const engine = createEngine({ threads: options.threads, shareScratch: true });
  const [first = []] = plan.microBatches(0);
  const [compute, batch] = [COMPUTES[options.compute], layMicroBatch(options, first)];
  const { attentionChunk } = options;
  return openSession(engine, base, residencyOf(options), {
    compute,
    attentionChunk,
    memory: vectors,
    batch,
    warn,
  });
}
