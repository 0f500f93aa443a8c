/** @file The head of classes that an adapter brings along if its base has none. */
import { MODEL_TASKS } from "../../models/model-tasks.ts";
import { FormatError, UsageError } from "../../errors.ts";
import type { BaseModel } from "../../models/base/base-model.ts";
import { tellsClasses, withClasses, withProblem } from "../../models/config/class-head.ts";
import {
  PROBLEM_TYPES,
  problemOf,
  type ProblemType,
  unnamedClasses,
} from "../../models/config/classifier-config.ts";
import { openModel } from "../../models/families.ts";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { withFreshHead } from "../checkpoint/fresh-head.ts";
import type { Folder } from "../files/folder.ts";
import type { JsonObject } from "../files/json-file.ts";
import { readAdapterConfig, readAdapterFolder } from "./adapter-folder.ts";
import { PREFIX } from "./adapter-tensors.ts";

const CLASSES_TASK = MODEL_TASKS["sequence-classification"].peftWord;

/** What the files of an adapter hold besides tensors. */
interface AdapterWords {
  readonly config: JsonObject;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Key of the names of classes in the header of the tensors' file. It is that of config.json, a file that adapters do not have. */
export const CLASSES_KEY = "id2label";

/** Key in the same header for what the outputs mean, as in config.json. */
export const PROBLEM_KEY = "problem_type";

/** Describes the outputs of a model, as far as its own files do not, as metadata of the tensors' file. */
export function classesMetadata({
  freshTensors,
  model: { raw, hasTargets, problem },
}: Pick<BaseModel, "freshTensors" | "model">): Record<string, string> {
  return {
    ...(freshTensors.length > 0 && { [CLASSES_KEY]: JSON.stringify(raw["id2label"]) }),
    ...(hasTargets && { [PROBLEM_KEY]: String(problem) }),
  };
}

/**
 * Gives a checkpoint without classes the head of classes of an adapter, which holds its weights. For a checkpoint with classes,
 * sets the problem type if the adapter names one.
 * @throws UsageError "usage/adapter" for an adapter of a classifier without a head; FormatError as `readAdapterFolder`
 */
export async function withHeadOf(checkpoint: Checkpoint, folder: Folder): Promise<Checkpoint> {
  const { task_type: task } = await readAdapterConfig(folder);
  if (task !== CLASSES_TASK) return checkpoint;
  const { tensors, metadata } = await readAdapterFolder(folder);
  const named = readProblem(folder.path, metadata[PROBLEM_KEY]);
  if (tellsClasses(checkpoint.config))
    return named === null ? checkpoint : { ...checkpoint, config: withProblem(checkpoint.config, named) };
  const { headTensor } = openModel(withClasses(checkpoint.config, unnamedClasses(2)));
  const numClasses = tensors.get(PREFIX + headTensor.name)?.shape[0];
  if (numClasses === undefined) {
    throw new UsageError(
      "usage/adapter",
      `Cannot use adapter "${folder.path}": it is for classification but has no ${headTensor.name}, and neither does its model`,
      { hint: "Choose the model that it was trained on, with a head for its classes." },
    );
  }
  const names = readNames(folder.path, metadata[CLASSES_KEY], numClasses);
  const { problem_type: ofBase } = checkpoint.config;
  const problem = named ?? problemOf({ problem_type: ofBase, num_labels: numClasses });
  return withFreshHead(checkpoint, names, null, problem);
}

/**
 * Checks that a model fits an adapter for classes or numbers.
 * @throws UsageError "usage/target-modules" for a model that is open without a head for them, "usage/adapter" for other classes
 */
export function requireHead(
  path: string,
  { config: { task_type: task }, metadata: { [CLASSES_KEY]: named } }: AdapterWords,
  { name, model }: Pick<BaseModel, "name" | "model">,
): void {
  if (task !== CLASSES_TASK) return;
  if (model.classPosition !== null) {
    const own = JSON.stringify(model.raw["id2label"]);
    if (named === undefined || named === own) return;
    throw new UsageError(
      "usage/adapter",
      `Cannot use adapter "${path}" with model "${name}": it has other classes, ${named}, expected ${own}`,
      { hint: "Choose an adapter of the same classes, or open the model with only this one." },
    );
  }
  throw new UsageError(
    "usage/target-modules",
    `Cannot use adapter "${path}" with model "${name}": it is for classification or regression, but the model is open for ${model.task}`,
    {
      hint: "Choose an adapter that generates text; use this one with graft classify, or as the first one with graft serve. loadModel of the library gives a model the head of its adapter.",
    },
  );
}

/** Parses the problem type in the file; null: there is none. @throws FormatError "format/tensor" for an unknown one */
function readProblem(path: string, text: string | undefined): ProblemType | null {
  const problem = PROBLEM_TYPES.find((one) => one === text);
  if (problem !== undefined || text === undefined) return problem ?? null;
  throw new FormatError(
    "format/tensor",
    `Cannot read adapter "${path}": its ${PROBLEM_KEY} is ${JSON.stringify(text)}, expected one of ${PROBLEM_TYPES.join(", ")}`,
    { hint: "The file is damaged: download it again." },
  );
}

/** The names of classes in the file; for peft's own files, which have none, transformers' names for unnamed classes. */
function readNames(path: string, text: string | undefined, numClasses: number): readonly string[] {
  if (text === undefined) return unnamedClasses(numClasses);
  let named: Readonly<Record<string, unknown>>;
  try {
    named = Object(JSON.parse(text)) as typeof named;
  } catch {
    named = {};
  }
  const names = Array.from({ length: numClasses }, (_, i) => named[i]);
  const isWhole = names.every((name) => typeof name === "string");
  if (isWhole && Object.keys(named).length === numClasses && new Set(names).size === numClasses) return names;
  throw new FormatError(
    "format/tensor",
    `Cannot read adapter "${path}": its file lists other classes than the ${numClasses} of its head`,
    { hint: "The file is damaged: download it again." },
  );
}
