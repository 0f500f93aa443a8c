/**
 * @file The step between two rounds of several trainings from one adapter (local SGD; DiLoCo, arXiv:2311.08105):
 *
 *   Δ = Σₖ wₖ (θₖ − θ) / Σₖ wₖ,   v ← μ v + Δ,   θ ← θ + η (Δ + μ v)
 *
 * with Nesterov's momentum; μ = 0 and η = 1 is the weighted average, ⊕, of the θₖ. Sums are made in float64, in the order given.
 */
import { z } from "zod";
import { UsageError } from "../../errors.ts";
import { AN_AMOUNT, argument, checkArguments, lazily } from "../../messages/arguments.ts";
import { type Numbers, weightedSum } from "./mixing.ts";

/** Numbers by the names of their tensors. */
export type NumbersByName = ReadonlyMap<string, Numbers>;

/** What one training has changed, θₖ − θ, and how much it counts. */
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

/** Takes θ from θₖ, in new memory; exact where neither is much larger than the other. */
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

/** What callers give as contributions. */
export const CONTRIBUTIONS = z.array(z.looseObject({ difference: NUMBERS, weight: AN_AMOUNT })).min(1);

const ARGUMENTS = lazily(() =>
  z.strictObject({
    current: NUMBERS,
    contributions: CONTRIBUTIONS,
    velocity: NUMBERS.nullable(),
    options: z.looseObject({ learningRate: AN_AMOUNT, momentum: AN_AMOUNT }),
  }),
);

/** @throws UsageError "usage/shape" for numbers that others lack, or have of another length; "usage/flag" where nothing weighs */
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
 * Makes the step; the new θ and v are in new memory. `velocity` null: this is the first.
 * @throws UsageError "usage/flag" for arguments that are none, "usage/shape" for contributions to other numbers
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
    // As it is kept in files.
    const speed = Float32Array.from(weightedSum([before, delta], [momentum, 1]));
    moved.set(name, speed);
    const sum = weightedSum([numbers, delta, speed], [1, learningRate, learningRate * momentum]);
    next.set(name, Float32Array.from(sum));
  }
  return { next, velocity: moved };
}
