/**
 * @file Changes of a site applied one after another, as an expression writes them: its first term first, each to the power of its
 * weight, a sum in parentheses as a whole. Where order matters, an expression that is multiplied out would be another change.
 */
import type { ProductAlgebra, SiteState } from "./contract.ts";
import { type Sum, formatExpression } from "./expression.ts";
import { refuseTerm } from "./refusals.ts";

/**
 * The product of those adapters that sit on a site, in new memory; null where none of them does: that changes nothing. `states`: by
 * names of adapters; all have the same options.
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
