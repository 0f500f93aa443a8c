/**
 * @file Reads the data on which a run trains and is evaluated, in the form that the model reads. A share of it can be held out.
 */
import { DATA_KINDS } from "../../../data/examples/data-kinds.ts";
import { drawHeldOut } from "../../../data/batches/held-out.ts";
import { FailedError, UsageError } from "../../../errors.ts";
import type { Model } from "../../../models/model.ts";
import type { Objective } from "../../objective.ts";
import { defaultObjective } from "../../objectives.ts";
import type { SizedOptions, TrainOptions } from "../../settings/options.ts";
import { readImageData } from "./image-data.ts";
import type { Learner, ReadingHooks, RunData } from "./run-data.ts";
import { readTextData } from "./text-data.ts";

/**
 * Reads the data of a run.
 * @throws FormatError and UsageError for data, tokenizer and settings that do not fit the model; FailedError "train/stopped"
 */
export async function readRunData(
  options: SizedOptions,
  learner: Learner,
  hooks: ReadingHooks,
): Promise<RunData> {
  const { model, objective } = learner;
  requireTask(model, objective);
  requireOneHeldOut(options, { hasFiles: false });
  try {
    const data = model.image ? readImageData(options, model) : await readTextData(options, learner, hooks);
    return options.evalShare === undefined ? data : holdOut(data, options.evalShare, options);
  } catch (cause) {
    if (hooks.signal?.aborted !== true || cause !== hooks.signal.reason) throw cause;
    throw new FailedError("train/stopped", "Cannot train: the run was stopped while reading its data", {
      hint: "Start the same command again.",
      cause,
    });
  }
}

/** Moves a share of the training examples to the held-out data. @throws UsageError "usage/flag" */
function holdOut(data: RunData, share: number, options: TrainOptions): RunData {
  requireOneHeldOut(options, { hasFiles: data.heldOut !== null });
  const drawn = drawHeldOut(data.train, share, options.seed);
  if (drawn.heldOut.length === 0) {
    const found = data.train.length === 1 ? "there is one example" : "all examples are the same";
    throw new UsageError(
      "usage/flag",
      `Cannot hold out a share of the data: ${found}, expected at least two different ones`,
      { hint: "Leave the share out, or give other data." },
    );
  }
  const isKept = new Set(drawn.train);
  let first = 0;
  const sources = data.sources.flatMap(({ numExamples, weight }) => {
    const start = first;
    first += numExamples;
    const numKept = drawn.train.filter((i) => i >= start && i < first).length;
    return numKept > 0 ? [{ numExamples: numKept, weight }] : [];
  });
  return {
    ...data,
    train: data.train.filter((_, i) => isKept.has(i)),
    sources,
    heldOut: drawn.heldOut.map((i) => data.train[i]!),
  };
}

/** Refuses `evalShare` if there is other held-out data. @throws UsageError "usage/flag" */
function requireOneHeldOut(
  { evalShare, evalData }: TrainOptions,
  { hasFiles }: { readonly hasFiles: boolean },
): void {
  if (evalShare === undefined || (evalData === undefined && !hasFiles)) return;
  throw new UsageError(
    "usage/flag",
    `Cannot hold out a share of the data: ${hasFiles ? "the folder has held-out files" : "held-out data is given too"}, expected one of them`,
    { hint: "Leave the share out." },
  );
}

/** Refuses an objective that does not suit the model's task. @throws UsageError "usage/flag" */
export function requireTask(model: Model, { name, rows }: Objective): void {
  const { task, problem } = model;
  if (problem === DATA_KINDS[rows].problem) return;
  const [found, expected] =
    problem === null
      ? [task, "an objective for text"]
      : [`${task}, its problem_type ${problem}`, `"${defaultObjective(model).name}"`];
  throw new UsageError(
    "usage/flag",
    `Cannot use objective "${name}": the model is for ${found}, expected ${expected}`,
    { hint: problem === null ? "Choose another objective." : "Leave the objective out." },
  );
}
