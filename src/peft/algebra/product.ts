/**
 * @file Applies changes of a site in succession, in the order of an expression: its first term first, each raised to the power of
 * its weight, with a sum in parentheses as a whole. As order matters, an expanded expression would be a different change.
 */
import type { ProductAlgebra, SiteState } from "./contract.ts";
import { type Sum, formatExpression } from "./expression.ts";
import { refuseTerm } from "./refusals.ts";

/**
 * Multiplies the adapters on a site, in new memory; null if none is on it, which changes nothing. `states` are by adapter name;
 * all have the same options.
 * @throws UsageError "usage/combine" for a change that has no such power.
 */
export function multiplySite<S>(
  path: string,
  { terms }: Sum,
  states: ReadonlyMap<string, SiteState<S>>,
  product: ProductAlgebra<S>,
): SiteState<S> | null {
  const powers = terms.flatMap(({ weight, of }) => {
    const state = typeof of === "string" ? states.get(of) : multiplySite(path, of, states, product);
    if (!state) return [];
    const found = product.refuses(state, weight);
    if (found !== null) throw refuseTerm(typeof of === "string" ? of : formatExpression(of), path, found);
    return [{ state, weight }];
  });
  const [first] = powers;
  return first ? { tensors: product.multiply(powers), options: first.state.options } : null;
}
