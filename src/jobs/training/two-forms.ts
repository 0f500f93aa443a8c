/**
 * @file Settings that a job may have in two forms: as OpenAI's keys, and among graft's own. If both are given they must agree,
 * and a job shows the values that it trains with under OpenAI's keys.
 */
import { type Hyperparameters, type Job, JOB_METHODS, SUPERVISED, SUPERVISED_OBJECTIVE } from "../job.ts";

/** A request's settings under OpenAI's keys; null: not given. */
interface OpenaiForm {
  readonly seed: number | null;
  readonly type: string | null;
  readonly hyperparameters: Hyperparameters;
  /** The key that contains the hyperparameters. */
  readonly place: string;
}

interface Contradiction {
  /** Path of the key among graft's own settings. */
  readonly path: readonly string[];
  /** Follows the value in a message. */
  readonly message: string;
}

const HYPERPARAMETER_OF = { epochs: "n_epochs", batchSize: "batch_size", beta: "beta" } as const;

/** Finds graft's own settings that contradict OpenAI's keys. */
export function contradictionsOf(
  graft: Job["graft"],
  { seed, type, hyperparameters, place }: OpenaiForm,
): Contradiction[] {
  const both = Object.entries(HYPERPARAMETER_OF).map(
    ([key, name]) => [key, `${place}.${name}`, hyperparameters[name]] as const,
  );
  const { learning_rate_multiplier: factor } = hyperparameters;
  const unlike = [["seed", "seed", seed] as const, ...both]
    .filter(
      ([key, , other]) =>
        other != null && other !== "auto" && ![undefined, other].includes(numberOf(graft[key])),
    )
    .map(([key, name, other]) => ({
      path: ["graft", key],
      message: `while ${name} is ${other}: give one of the two`,
    }));
  const { objective } = graft;
  // Objectives that no job can have are reported elsewhere.
  if (type !== null && JOB_METHODS.includes(objective as string) && objectiveOf(type) !== objective) {
    const message = `while method.type is ${JSON.stringify(type)}: give one of the two`;
    unlike.push({ path: ["graft", "objective"], message });
  }
  if (graft["learningRate"] !== undefined && factor !== "auto") {
    const message = `while ${place}.learning_rate_multiplier is ${factor} times what suits method and model: give one of the two`;
    unlike.push({ path: ["graft", "learningRate"], message });
  }
  return unlike;
}

function objectiveOf(type: string): string {
  return type === SUPERVISED ? SUPERVISED_OBJECTIVE.name : type;
}

/** A number among graft's own settings; undefined for anything else, which is not given or refused elsewhere. */
function numberOf(value: unknown): number | undefined {
  return typeof value === "number" ? value : undefined;
}

/** Copies graft's own settings of a checked job to OpenAI's keys. */
export function inBothForms(job: Job): Job {
  const { graft } = job;
  const own = Object.entries(HYPERPARAMETER_OF).flatMap(([key, name]) => {
    const value = numberOf(graft[key]);
    return value === undefined ? [] : [[name, value] as const];
  });
  const hyperparameters: Hyperparameters = { ...job.hyperparameters, ...Object.fromEntries(own) };
  const { objective } = graft;
  const type =
    typeof objective !== "string" || objective === objectiveOf(job.method.type) ? job.method.type : objective;
  return {
    ...job,
    hyperparameters,
    method: { type, [type]: { hyperparameters } },
    seed: numberOf(graft["seed"]) ?? job.seed,
  };
}
