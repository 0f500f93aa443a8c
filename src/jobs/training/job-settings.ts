/**
 * @file Makes the settings of a training from a job's: OpenAI's hyperparameters, and graft's own settings by the names of the
 * command line in JSON (`learningRate`).
 */
import { UsageError } from "../../errors.ts";
import { nearestName } from "../../messages/setting-names.ts";
import { findOptimizer } from "../../optim/optimizers.ts";
import { makesModel } from "../../peft/method.ts";
import { METHODS, findMethod } from "../../peft/methods.ts";
import type { Objective } from "../../train/objective.ts";
import { suitableLearningRate } from "../../train/settings/learning-rate.ts";
import { TEXT_OBJECTIVES, findObjective } from "../../train/objectives.ts";
import {
  TRAIN_OPTIONS,
  type LooseTrainInput,
  type TrainOptions,
  methodOptions,
  objectiveOptions,
  optimizerOptions,
  parseTrainOptions,
} from "../../train/settings/options.ts";
import { ownSettings } from "./averaging.ts";
import { type Hyperparameters, type Job, SUPERVISED, SUPERVISED_OBJECTIVE } from "../job.ts";

/** Where a job's files are, and what it trains on. */
export interface JobPlaces {
  readonly model: string;
  readonly initAdapter: string | null;
  readonly data: string;
  readonly evalData: string | null;
  readonly output: string;
  readonly width: number;
  /** How the model is open: settings that a training on it cannot choose. */
  readonly compute: TrainOptions["compute"];
  readonly weights: TrainOptions["weights"];
  readonly base: TrainOptions["base"];
  readonly chatTemplate?: string | undefined;
  readonly threads?: number | undefined;
}

/**
 * Settings that only the server may make: what it reads, writes and runs (a source of power may be a command), and how the base
 * is held, since it is in memory before a job comes.
 */
export const SERVERS: ReadonlySet<string> = new Set([
  "model",
  "initAdapter",
  "data",
  "evalData",
  "output",
  "resume",
  "overwrite",
  "threads",
  "compute",
  "weights",
  "chatTemplate",
  "base",
  "memory",
  "residentMemory",
  "dataParallel",
  "shardDtype",
  ...Object.keys(TRAIN_OPTIONS.shape).filter((key) => key.startsWith("power")),
]);

/** Keys of a request that determine settings of the server. */
const KEYS_BESIDE: Readonly<Record<string, string>> = {
  model: "model",
  initAdapter: "model",
  data: "training_file",
  evalData: "validation_file",
  resume: "resume_from",
};

/** A problem of one of a job's own settings. */
interface SettingProblem {
  readonly key: string;
  readonly found: string;
  readonly hint: string;
}

/** Phrases that apply only to the command line or the library, and their replacements for jobs. */
const OF_OTHERS = [
  [/ of graft train\b/g, ""],
  [/ \(graft eval does not\)/g, ""],
  [/`graft data show` prints what is trained on\. /g, ""],
  // For instance "(maxLength in the library)" and ", skipFaulty in the library".
  [/ \(\w+ in the library\)|, \w+ in the library/g, ""],
  [
    /(?:continue|start over) with (?:the same command(?: and --resume)?|--overwrite)/g,
    "create the job again",
  ],
] as const;

/** Rewrites a text about flags of `graft train` for the author of a job; flags of the server stay. */
export function inSettings(text: string): string {
  const own = OF_OTHERS.reduce((told, [found, meant]) => told.replaceAll(found, meant), text);
  return own.replaceAll(/(?<![^\s(`])--([a-z]+(?:-[a-z]+)*)/g, (flag, name: string) => {
    const key = name.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
    if (key === "initAdapter") return "model (the name of an adapter)";
    if (key === "evalData") return "validation_file";
    return key in TRAIN_OPTIONS.shape && !SERVERS.has(key) ? `graft.${key}` : flag;
  });
}

/** graft's name of a setting that other tools call differently; otherwise the given name. */
function ownName(key: string): string {
  const meant = nearestName(key, Object.keys(TRAIN_OPTIONS.shape));
  return meant?.isSynonym === true ? meant.name : key;
}

/** Finds settings that a job may not make, or not with this value. */
export function foreignSettings(given: object): SettingProblem[] {
  return Object.entries(given).flatMap(([key, value]): SettingProblem[] => {
    const own = ownName(key);
    if (SERVERS.has(own)) {
      const beside = KEYS_BESIDE[own];
      const hint = beside === undefined ? "Leave it out." : `Give ${beside} outside of graft.`;
      return [{ key, found: "the server sets it", hint }];
    }
    // A path would refer to the server's disk.
    if (key !== "samples" || Array.isArray(value)) return [];
    return [{ key, found: "expected a list of prompts", hint: "Give the prompts themselves." }];
  });
}

/** Limits for multiples of the usual learning rate. */
const [LEAST_FACTOR, MOST_FACTOR] = [1e-300, 1e300];

/** Steps between two checkpoints, unless a job says otherwise. */
const SAVE_EVERY = 20;

/** Makes the settings. @throws UsageError "usage/flag" that lists what is wrong with them */
export function jobSettings(job: Job, places: JobPlaces): TrainOptions {
  const { width, initAdapter, evalData, ...own } = places;
  const given = ownSettings(job);
  const [foreign] = foreignSettings(given);
  if (foreign) {
    const { key, found, hint } = foreign;
    throw new UsageError("usage/flag", `Cannot use graft.${key} in a job: ${found}`, { hint });
  }
  const { n_epochs: epochs, batch_size: batchSize } = job.hyperparameters;
  const input = {
    ...own,
    ...(initAdapter === null ? {} : { initAdapter }),
    ...(evalData === null ? {} : { evalData }),
    seed: job.seed,
    saveEvery: SAVE_EVERY,
    ...(job.method.type === SUPERVISED ? {} : { objective: job.method.type }),
    ...betaOf(job.hyperparameters),
    ...(epochs === "auto" ? {} : { epochs }),
    ...(batchSize === "auto" ? {} : { batchSize: Math.round(batchSize) }),
    ...given,
  } as LooseTrainInput;
  const options = parseTrainOptions(input);
  requireAdapter(options);
  requireTexts(options);
  // Settings of another method, optimizer or objective are reported now, not when the job begins.
  methodOptions(options);
  optimizerOptions(options);
  objectiveOptions(options, objectiveOf(options));
  const factor = job.hyperparameters.learning_rate_multiplier;
  const usual = usualRate(options, width);
  if (factor === "auto" || "learningRate" in given) {
    requireFactor((options.learningRate ?? usual) / usual, "graft.learningRate");
    return options;
  }
  requireFactor(factor, "learning_rate_multiplier");
  return parseTrainOptions({ ...input, learningRate: factor * usual });
}

/**
 * A job's rate is shown as a multiple of the usual one, or computed from that. Beyond these limits the product or the quotient
 * may be 0 or Infinity, which JSON cannot represent. @throws UsageError "usage/flag" that names the key
 */
function requireFactor(factor: number, key: string): void {
  if (factor === 0 || (factor >= LEAST_FACTOR && factor <= MOST_FACTOR)) return;
  throw new UsageError(
    "usage/flag",
    `Cannot use ${key} in a job: the learning rate is ${factor} times what suits method and model, expected 0 or from ${LEAST_FACTOR} to ${MOST_FACTOR} times`,
    { hint: "Leave it out, or give a rate 0.1 to 10 times the suitable one." },
  );
}

/** The result of a job is served beside the base. @throws UsageError "usage/flag" for a method whose result is a whole model */
function requireAdapter({ method }: TrainOptions): void {
  if (!makesModel(findMethod(method))) return;
  const others = METHODS.filter((each) => !makesModel(each)).map(({ name }) => name);
  throw new UsageError(
    "usage/flag",
    `Cannot use method "${method}" in a job: its result is a whole model, expected an adapter`,
    { hint: `Choose one of ${others.join(", ")}, or train the model with graft train.` },
  );
}

/** The model must still write texts. @throws UsageError "usage/flag" for an objective that learns classes */
function requireTexts({ objective }: TrainOptions): void {
  if (objective === undefined || TEXT_OBJECTIVES.includes(findObjective(objective))) return;
  const others = TEXT_OBJECTIVES.map(({ name }) => name);
  throw new UsageError(
    "usage/flag",
    `Cannot use objective "${objective}" in a job: it trains on classes, expected one that trains on texts`,
    { hint: `Choose one of ${others.join(", ")}, or train with graft train.` },
  );
}

function betaOf({ beta = "auto" }: Hyperparameters): { beta?: number } {
  return beta === "auto" ? {} : { beta };
}

/** The objective of a job. */
export function objectiveOf({ objective }: TrainOptions): Objective {
  return objective === undefined ? SUPERVISED_OBJECTIVE : findObjective(objective);
}

/** The learning rate of a job without a multiplier. */
export function usualRate(options: TrainOptions, width: number): number {
  const method = findMethod(options.method);
  return suitableLearningRate({
    method,
    methodOptions: method.options.parse(methodOptions(options)),
    optimizer: findOptimizer(options.optimizer),
    objective: objectiveOf(options),
    width,
  });
}
