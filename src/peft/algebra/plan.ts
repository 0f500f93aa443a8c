/** @file A planned combination: the adapters, read without their model, with the weights that an expression gives them. */
import { UsageError } from "../../errors.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import { type Method, trainedTokens } from "../method.ts";
import { refuseTokens } from "../trained-base/trained-tokens.ts";
import { type Coefficient, paperCoefficients } from "./coefficients.ts";
import { type Combination, type CombineOptions, findCombination } from "./combinations.ts";
import { type Algebra, type SiteState, startAlgebra } from "./contract.ts";
import { type Sum, weightsOf } from "./expression.ts";

type Tensor = HostTensor<"float32">;

/** Fisher information of an adapter's tensors by full name, scaled to a mean square of 1 over all of them. */
export type FisherOf = (name: string) => Promise<Tensor>;

/** An adapter without its model. */
export interface AdapterWeights {
  readonly method: Method;
  readonly options: unknown;
  /** Sites by full module path. */
  readonly sites: ReadonlyMap<string, SiteState<unknown>>;
  /** Trained tensors of the base itself, by name. */
  readonly base: ReadonlyMap<string, Tensor>;
  /** Frozen tensors that its file holds, by their names there. */
  readonly frozen: ReadonlyMap<string, Tensor>;
  /** Whether its file says that the base stores weights as [in, out]. */
  readonly storedTransposed: boolean;
  /** Null: not read, as the combination does not use it. */
  readonly fisher: FisherOf | null;
}

/** One adapter of an expression. */
export interface Member {
  readonly name: string;
  readonly adapter: AdapterWeights;
  /** Its weight in the expanded expression. */
  readonly weight: number;
  /** Its coefficients by the operators of the combination. */
  readonly coefficient: Coefficient;
}

/** Reads the values of a tensor before training, by full name. */
export type StartOf = (name: string) => Promise<Tensor>;

/** How the members are combined. */
export interface Plan {
  /** The expression as it was written. */
  readonly sum: Sum;
  readonly members: readonly Member[];
  readonly combination: Combination;
  readonly options: CombineOptions;
  readonly startOf: StartOf | null;
}

/**
 * Collects the adapters with their weights. Those of weight 0 are left out of an exact sum if others remain, but not of a
 * product: in `a + b - a` an adapter is undone only after another was applied.
 * @throws UsageError "usage/combine" for settings that do not fit the way of combining.
 */
export function toPlan(
  sum: Sum,
  adapters: ReadonlyMap<string, AdapterWeights>,
  options: CombineOptions,
  startOf: StartOf | null,
): Plan {
  const combination = findCombination(options);
  const coefficients = combination.averages ? paperCoefficients(sum, options.normalize) : null;
  const members = [...weightsOf(sum)].map(([name, weight]): Member => {
    const coefficient = coefficients?.get(name) ?? { kept: Math.abs(weight), signed: weight };
    return { name, adapter: adapters.get(name)!, weight, coefficient };
  });
  const moving = members.filter(({ weight }) => weight !== 0);
  const isWhole = combination.mixesFactors || combination.multiplies || moving.length === 0;
  return { sum, members: isWhole ? members : moving, combination, options, startOf };
}

/** Returns the arithmetic of a method. @throws UsageError "usage/combine" when it has none */
export function algebraOf(method: Method): Algebra<unknown, unknown> {
  // Trained tensors of the base represent a change by their difference from the base.
  if (method.kind === "base")
    return { ...startAlgebra(), refuses: (options) => refuseTokens(trainedTokens(method, options)) };
  const { name, algebra } = method;
  if (algebra !== "not-composable") return algebra;
  throw new UsageError(
    "usage/combine",
    `Cannot combine adapters of method "${name}": the method can represent neither sums nor negated changes`,
    { hint: "Merge one of them into the model, and train the other on the result." },
  );
}
