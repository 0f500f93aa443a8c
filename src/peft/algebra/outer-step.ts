/**
 * @file The step between two rounds of several trainings from one adapter (local SGD; DiLoCo, arXiv:2311.08105):
 *
 *   Δ = Σₖ wₖ (θₖ − θ) / Σₖ wₖ,   v ← μ v + Δ,   θ ← θ + η (Δ + μ v)
 *
 * with Nesterov's momentum; μ = 0 and η = 1 is the weighted average, ⊕, of the θₖ. Sums are in float64, in the given order.
 */
import { z } from "zod";
import { UsageError } from "../../errors.ts";
import { AN_AMOUNT, argument, checkArguments, lazily } from "../../messages/arguments.ts";
import { type Numbers, weightedSum } from "./mixing.ts";

/** The values of tensors by name. */
export type NumbersByName = ReadonlyMap<string, Numbers>;

/** The change of one training, θₖ − θ, and its weight. */
export interface Contribution {
  readonly difference: NumbersByName;
  readonly weight: number;
}

interface OuterStepOptions {
  /** η */
  readonly learningRate: number;
  /** μ */
  readonly momentum: number;
}

/** Subtracts θ from θₖ, in new memory; exact unless their magnitudes differ widely. */
export function differenceOf(trained: NumbersByName, start: NumbersByName): NumbersByName {
  return new Map(
    [...start].map(([name, numbers]) => [name, weightedSum([trained.get(name)!, numbers], [1, -1])]),
  );
}

const isNumbers = (value: unknown): boolean => value instanceof Float32Array || value instanceof Float64Array;
const NUMBERS = argument<NumbersByName>(
  "a Map of float arrays by the names of tensors",
  (value) => value instanceof Map && [...(value as Map<unknown, unknown>).values()].every(isNumbers),
);

/** Checks contributions that a caller passes. */
export const CONTRIBUTIONS = z.array(z.looseObject({ difference: NUMBERS, weight: AN_AMOUNT })).min(1);

const ARGUMENTS = lazily(() =>
  z.strictObject({
    current: NUMBERS,
    contributions: CONTRIBUTIONS,
    velocity: NUMBERS.nullable(),
    options: z.looseObject({ learningRate: AN_AMOUNT, momentum: AN_AMOUNT }),
  }),
);

/**
 * @throws UsageError "usage/shape" for tensors that a contribution lacks or has with another length; "usage/flag" where all
 * weights are 0
 */
function requireAlike(current: NumbersByName, contributions: readonly Contribution[]): void {
  if (!contributions.some(({ weight }) => weight > 0)) {
    throw new UsageError(
      "usage/flag",
      "Cannot make an outer step: all contributions weigh 0, expected one above 0",
      {
        hint: "Weight each by its number of examples.",
      },
    );
  }
  for (const [name, { length }] of current) {
    const other = contributions.find(({ difference }) => difference.get(name)?.length !== length);
    if (!other) continue;
    const found = other.difference.get(name)?.length ?? "no";
    throw new UsageError(
      "usage/shape",
      `Cannot make an outer step: a contribution has ${found} numbers of "${name}", expected ${length}`,
      { hint: "All contributions must start from the same adapter." },
    );
  }
}

/**
 * Makes the step; the new θ and v are in new memory. `velocity` null: this is the first step.
 * @throws UsageError "usage/flag" for invalid arguments, "usage/shape" for contributions that do not fit `current`
 */
export function outerStep(
  current: NumbersByName,
  contributions: readonly Contribution[],
  velocity: NumbersByName | null,
  options: OuterStepOptions,
): {
  readonly next: ReadonlyMap<string, Float32Array>;
  readonly velocity: ReadonlyMap<string, Float32Array>;
} {
  checkArguments("outerStep", ARGUMENTS, { current, contributions, velocity, options });
  requireAlike(current, contributions);
  const { learningRate, momentum } = options;
  const total = contributions.reduce((sum, { weight }) => sum + weight, 0);
  const weights = contributions.map(({ weight }) => weight / total);
  const next = new Map<string, Float32Array>();
  const moved = new Map<string, Float32Array>();
  for (const [name, numbers] of current) {
    const delta = weightedSum(
      contributions.map(({ difference }) => difference.get(name)!),
      weights,
    );
    const before = velocity?.get(name) ?? new Float32Array(delta.length);
    // In float32, as in files.
    const speed = Float32Array.from(weightedSum([before, delta], [momentum, 1]));
    moved.set(name, speed);
    const sum = weightedSum([numbers, delta, speed], [1, learningRate, learningRate * momentum]);
    next.set(name, Float32Array.from(sum));
  }
  return { next, velocity: moved };
}
