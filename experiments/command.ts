/** @file An experiment as a command: on which model, at what size, and where its result goes. */
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { resolveModel } from "../src/index.ts";
import { RESULTS, type Result, tell } from "./report.ts";

/** How large a run is; tests run a tiny one. */
interface Size {
  /** Rows to train on and to test on. */
  readonly train: number;
  readonly test: number;
  readonly steps: number;
}

/** A model and how adapters are trained on it. */
export interface Setup extends Size {
  /** Path. */
  readonly model: string;
  readonly batchSize: number;
  readonly learningRate: number;
  /** Whether a question comes with the facts that its answer needs. */
  readonly tellsFacts: boolean;
}

/** The model of this repository, which was made on the texts of the experiments. */
export const SMALL_MODEL = fileURLToPath(new URL("../test/small-model", import.meta.url));

/** The small model and how it is trained. */
export function onSmallModel(size: Size): Setup {
  return { model: SMALL_MODEL, batchSize: 16, learningRate: 2e-3, tellsFacts: false, ...size };
}

/** A language model of a hundred million parameters or more. */
function onLanguageModel(model: string, size: Size): Setup {
  return { model, batchSize: 8, learningRate: 1e-3, tellsFacts: true, ...size };
}

/** Sizes that take less than ten minutes on two cores: on the small model, and on SmolLM2-135M. */
interface Sizes {
  readonly small: Size;
  readonly large: Size;
}

/** A setup and where its results go. */
interface ExperimentCommand {
  readonly setup: Setup;
  /** Paths that are named. */
  readonly files: readonly string[];
  /** Runs an experiment, tells its result and keeps it. */
  run(experiment: (setup: Setup) => Promise<Result>): Promise<void>;
}

/**
 * Reads the command line: `--model NAME`, else the small model; `--train N --test N --steps N`. Results are kept in
 * experiments/results, those of another size in the working folder.
 */
export async function readCommand(sizes: Sizes): Promise<ExperimentCommand> {
  const text = { type: "string" } as const;
  const { values, positionals: files } = parseArgs({
    options: { model: text, train: text, test: text, steps: text },
    allowPositionals: true,
  });
  const { model, ...given } = values;
  const size = { ...(model === undefined ? sizes.small : sizes.large) };
  for (const [key, value] of Object.entries(given)) size[key as keyof Size] = Number(value);
  const setup =
    model === undefined ? onSmallModel(size) : onLanguageModel((await resolveModel(model)).path, size);
  const kept = model === undefined ? RESULTS : join(RESULTS, basename(model));
  const folder = Object.keys(given).length === 0 ? kept : ".";
  return {
    setup,
    files,
    run: async (experiment) => {
      const start = performance.now();
      const result = await experiment(setup);
      const parameters = { ...setup, model: basename(setup.model) };
      tell(result, { parameters, seconds: (performance.now() - start) / 1000 }, folder);
    },
  };
}
