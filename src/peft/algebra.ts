/**
 * @file Adapter arithmetic: adding, negating and scaling adapters without training.
 *
 * Paper: "Composing Parameter-Efficient Modules with Arithmetic Operations", arXiv:2306.14870.
 */
import type { SiteSpec } from "../models/architecture.ts";
import type { SiteTensors } from "./method.ts";

/** One adapter's share of a sum at one site. */
export interface Term<S> {
  readonly weight: number;
  readonly tensors: SiteTensors;
  readonly options: S;
}

/** What a method says about combining its adapters, one site at a time. */
export interface Algebra<O, S> {
  /** Tensors with the opposite effect (the paper's ⊖); fresh. */
  negate(tensors: SiteTensors, options: S): SiteTensors;
  /**
   * Tensors and options whose delta is exactly the weighted sum of the terms' deltas, or the reason why there is no such
   * adapter.
   */
  readonly sum:
    | string
    | ((terms: readonly Term<S>[], site: SiteSpec) => { readonly tensors: SiteTensors; readonly options: S });
  /** Options that give each site, by path, its own. */
  optionsOf(sites: ReadonlyMap<string, S>, terms: readonly O[]): O;
}
