/** @file Which adapters cannot be merged: what they do is no change of weights that the base has. */
import type { Adapter } from "./attach.ts";
import { buildMerge } from "./merge-program.ts";

/** Says which part of an adapter keeps it from being merged, as the object of a sentence; null: it can be merged. */
export function whyNotMerged({ method, sites }: Adapter): string | null {
  if (method.kind === "adapter" && method.merge === "not-mergeable") {
    return `an adapter of method "${method.name}": its result is not a change of the weights`;
  }
  const seen = new Set<string>();
  for (const site of sites.values()) {
    const { path, spec, options } = site;
    if (spec.kind === "residual") {
      return `an adapter on "${path}": it changes the residual stream, which has no weight`;
    }
    const key = JSON.stringify([spec, options]);
    if (spec.bias || spec.kind === "stack" || seen.has(key)) continue;
    seen.add(key);
    if (buildMerge(method, site, spec)?.merged.bias) {
      return `an adapter on "${path}": it adds a bias, and the module has none`;
    }
  }
  return null;
}
