/**
 * @file Default learning rates.
 *
 *   η = η_method · f_optimizer · f_objective · (2048 / D)^¾        D width of the model, the last factor within [⅓, 4]
 *
 * The rates of the methods train SmolLM2-135M (D = 576) well, and are scaled to D = 2048 by the last factor: wider models need smaller
 * steps, as do the rates that papers give for models from 135 million to 70 billion parameters.
 */
import type { Optimizer } from "../../optim/optimizer.ts";
import type { Schedule } from "../../optim/schedule.ts";
import type { Method } from "../../peft/method.ts";
import type { Objective } from "../objective.ts";

/** Width of a model of about a billion parameters, for which methods give their rates. */
export const REFERENCE_WIDTH = 2048;
const WIDTH_EXPONENT = 0.75;
const [LEAST_FACTOR, LARGEST_FACTOR] = [1 / 3, 4];

/** What a learning rate depends on. */
interface RateRequest {
  readonly method: Pick<Method, "learningRate">;
  /** The options of the method, parsed by its schema. */
  readonly methodOptions: unknown;
  readonly optimizer: Pick<Optimizer, "rateFactor">;
  readonly objective: Pick<Objective, "rateFactor">;
  /** D of the model. */
  readonly width: number;
}

/** The default peak learning rate of a run, rounded to two digits. */
export function suitableLearningRate(request: RateRequest): number {
  const { methodOptions, optimizer, objective, width } = request;
  const { learningRate } = request.method;
  const ownRate = typeof learningRate === "number" ? learningRate : learningRate(methodOptions);
  const widthFactor = (REFERENCE_WIDTH / width) ** WIDTH_EXPONENT;
  const bounded = Math.min(LARGEST_FACTOR, Math.max(LEAST_FACTOR, widthFactor));
  const rate = ownRate * optimizer.rateFactor * objective.rateFactor * bounded;
  return Number(rate.toPrecision(2));
}

/** The default number of warm-up steps of a run: a share of its steps, 0 for very short runs. */
export function suitableWarmup({ warmupShare }: Pick<Schedule, "warmupShare">, totalSteps: number): number {
  return Math.floor(warmupShare * totalSteps);
}
