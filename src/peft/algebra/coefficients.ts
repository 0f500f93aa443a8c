/**
 * @file The paper's coefficients: ⊕ averages parameters, ⊖ reverses the effect of a module.
 *
 * A sum of positive terms is an average: its weights are divided by their sum, also inside parentheses. The outermost sum of
 * several terms is an average even with negative terms (⊖, then ⊕). A difference in parentheses is taken as written, like "target
 * ⊖ auxiliary" in the analogy of arXiv:2306.14870, section 3.4. If the whole expression is one term, an adapter or a sum times a
 * number, its change is multiplied by exactly that number: in one factor only, since in both it would count twice.
 */
import { UsageError } from "../../errors.ts";
import { type Sum, formatExpression } from "./expression.ts";

/** Whether the weights of sums are divided by their sum, or taken as written. */
export const NORMALIZATIONS = ["on", "off"] as const;
export type Normalization = (typeof NORMALIZATIONS)[number];

/** The coefficients of an adapter's parameters. */
export interface Coefficient {
  /** Coefficient of the factor that keeps its sign. */
  readonly kept: number;
  /** Coefficient of the factor that ⊖ negates, and of an effect that is linear. */
  readonly signed: number;
}

/**
 * Expands a sum by the rules of the paper's operators.
 * @throws UsageError "usage/combine" when the weights of an average are all zero.
 */
export function paperCoefficients(
  sum: Sum,
  normalize: Normalization = "on",
): ReadonlyMap<string, Coefficient> {
  const [only] = sum.terms;
  if (sum.terms.length === 1 && only) {
    const { weight, of } = only;
    const whole = typeof of === "string" ? [[of, ONE] as const] : [...paperCoefficients(of, normalize)];
    return new Map(whole.map(([name, { kept, signed }]) => [name, { kept, signed: weight * signed }]));
  }
  const found = new Map<string, Coefficient>();
  const visit = ({ terms }: Sum, kept: number, signed: number): void => {
    for (const { weight, of } of terms) {
      const [k, s] = [kept * Math.abs(weight), signed * weight];
      if (typeof of === "string") {
        const before = found.get(of) ?? { kept: 0, signed: 0 };
        found.set(of, { kept: before.kept + k, signed: before.signed + s });
        continue;
      }
      const isAverage = normalize === "on" && of.terms.every((term) => term.weight >= 0);
      const divisor = isAverage ? totalOf(of) : 1;
      visit(of, k / divisor, s / divisor);
    }
  };
  const divisor = normalize === "on" ? totalOf(sum) : 1;
  visit(sum, 1 / divisor, 1 / divisor);
  return found;
}

const ONE: Coefficient = { kept: 1, signed: 1 };

function totalOf(sum: Sum): number {
  const total = sum.terms.reduce((size, { weight }) => size + Math.abs(weight), 0);
  if (total > 0) return total;
  throw new UsageError("usage/combine", `Cannot average "${formatExpression(sum)}": all weights are 0`, {
    hint: "Give one of the adapters a weight.",
  });
}
