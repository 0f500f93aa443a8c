/** @file A model on which a training and texts run beside each other, for benchmarks. */
import { join } from "node:path";
import {
  type OpenServingOptions,
  type ServingModel,
  openServingModel,
} from "../../src/engine/serving-model.ts";
import type { ServingEngine } from "../../src/engine/serving/serving-engine.ts";
import { FailedError } from "../../src/errors.ts";
import type { ComputeName } from "../../src/nn/computes.ts";
import { train } from "../../src/train/trainer.ts";
import { type TextLoad, writeText } from "./text-load.ts";

interface ServedTrainingOptions extends Omit<OpenServingOptions, "cacheBytes" | "trainCompute"> {
  readonly path: string;
  readonly data: string;
  readonly batchSize: number;
  readonly trainCompute: ComputeName;
  /** Where runs are kept. */
  readonly folder: string;
  /** The texts, for which everything is prepared before anything is timed. */
  readonly load: TextLoad;
}

/** A number of steps, or a time after which the running step is the last. */
export type TrainingLength = { readonly steps: number } | { readonly seconds: number };

/** The progress of a training. */
export interface Progress {
  /** From the end of its first step to that of each later one. */
  readonly stepMs: readonly number[];
  readonly blockMs: readonly number[];
}

/** Steps of a training that is stopped by the clock. */
const ENDLESS = 1_000_000;
/** Number of texts that, written at once, compile all programs for many texts. */
const MANY = 8;
let numRuns = 0;

export class ServedTraining {
  readonly #model: ServingModel;
  readonly #options: ServedTrainingOptions;

  private constructor(model: ServingModel, options: ServedTrainingOptions) {
    this.#model = model;
    this.#options = options;
  }

  /** Opens the model, with all programs compiled and all adapters registered; the caller closes it. */
  static async open(options: ServedTrainingOptions): Promise<ServedTraining> {
    const { path, load } = options;
    const model = await openServingModel(path, { ...options, cacheBytes: 5e8 });
    try {
      const served = new ServedTraining(model, options);
      const { engine } = model;
      await engine.adapters.prepareMany();
      const output = served.#newFolder();
      await served.#train(output, { steps: 2 });
      for (const name of load.adapters) if (name !== null) engine.adapters.register(name, output);
      for (const count of [1, MANY]) {
        const texts = Array.from({ length: count }, (_, i) => writeText(engine, load, 10_000 + i));
        await Promise.all(texts);
      }
      return served;
    } catch (error) {
      await model.close();
      throw error;
    }
  }

  get engine(): ServingEngine {
    return this.#model.engine;
  }

  /** Trains; `onRest`: called when the last block has run, before files are written. */
  async train(length: TrainingLength, onRest?: () => void): Promise<Progress> {
    return await this.#train(this.#newFolder(), length, onRest);
  }

  #newFolder(): string {
    return join(this.#options.folder, `run-${numRuns++}`);
  }

  async #train(output: string, length: TrainingLength, onRest = (): void => {}): Promise<Progress> {
    const { path: model, data, batchSize, threads, trainCompute: compute } = this.#options;
    const steps = "steps" in length ? length.steps : ENDLESS;
    const signal = "seconds" in length ? AbortSignal.timeout(1000 * length.seconds) : undefined;
    const turn = this.engine.turns.training();
    const [ends, blockMs]: number[][] = [[], []];
    let blockStartMs: number | null = null;
    const endBlock = (): void => {
      if (blockStartMs !== null) blockMs!.push(performance.now() - blockStartMs);
      blockStartMs = null;
    };
    const shared = {
      session: this.#model.trainingSession,
      betweenBlocks: async (): Promise<void> => {
        endBlock();
        await turn.betweenBlocks();
        blockStartMs = performance.now();
      },
      rest: (): void => {
        endBlock();
        turn.rest();
        onRest();
      },
    };
    const settings = { model, data, output, steps, batchSize, maxLength: 256, compute, threads };
    try {
      await train(
        { ...settings, weights: "float32" },
        {
          shared,
          ...(signal && { signal }),
          onEvent: ({ event }) => void (event === "step" && ends!.push(performance.now())),
        },
      );
    } catch (error) {
      if (!(error instanceof FailedError && error.code === "train/stopped")) throw error;
    } finally {
      shared.rest();
    }
    const [first = 0, ...others] = ends!;
    return { stepMs: others.map((ms) => ms - first), blockMs: blockMs! };
  }

  async close(): Promise<void> {
    await this.#model.close();
  }
}
