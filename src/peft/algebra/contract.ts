/**
 * @file What a method defines for adapter arithmetic: how its tensors represent a change of the model that can be added, scaled
 * and negated. Adding, pruning and electing signs are written once, in `algebra/`.
 *
 * Paper: "Composing Parameter-Efficient Modules with Arithmetic Operations", arXiv:2306.14870.
 */
import type { SiteSpec } from "../../models/graphs/sites.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import type { SiteTensors } from "../sites/site.ts";
import type { Coefficient } from "./coefficients.ts";

/** A change that is bilinear in two tensors: scale · up · down, or one that scales in the same way. */
export interface FactorPair {
  /** The paper's A: [R, in]. */
  readonly down: HostTensor<"float32">;
  /** The paper's B: [out, R]. */
  readonly up: HostTensor<"float32">;
  readonly scale: number;
}

/** Tensors and options of one site. */
export interface SiteState<S> {
  readonly tensors: SiteTensors;
  readonly options: S;
}

/** A term of a sum of adapters at one site. */
export interface Term<T> {
  /** Its weight in the expanded expression. */
  readonly weight: number;
  /** Its coefficients by the paper's operators. */
  readonly coefficient: Coefficient;
  readonly of: T;
}

/** The change is a product of two factors. */
export interface FactorAlgebra<S> {
  readonly kind: "factors";
  /** The factors; views. */
  split(state: SiteState<S>): FactorPair;
  /** Makes a site with these factors, in the form of `like`. */
  join(pair: FactorPair, like: SiteState<S>): SiteState<S>;
  /** Why concatenated factors of several adapters do not form an adapter of the method; null when they do. */
  readonly notConcatenable: string | null;
}

/** A change as vectors that add up, with names chosen by the method; zeros change nothing. */
type Change = Readonly<Record<string, Float64Array>>;

/** Converts a site's tensors to vectors that add up, and back. */
export interface ChangeForm<S> {
  /** Returns the change, in new memory. */
  toChange(state: SiteState<S>): Change;
  /** Returns the tensors with exactly this change, for a site with the options of `like`. */
  fromChange(change: Change, like: SiteState<S>): SiteTensors;
}

/** Changes that are applied in succession, each raised to the power of a weight. */
export interface ProductAlgebra<S> {
  /** Why a change has no such power, in words that follow the site's name; null: it has one. */
  refuses(state: SiteState<S>, weight: number): string | null;
  /** Returns tensors with the effect of all sites in succession, the first one first; all have the same options. */
  multiply(terms: readonly { readonly state: SiteState<S>; readonly weight: number }[]): SiteTensors;
}

/** The change is linear in vectors. */
export interface VectorAlgebra<S> extends ChangeForm<S> {
  readonly kind: "vectors";
  /** Whether the change is linear in the tensors' values themselves. */
  readonly isLinear: boolean;
  /** How adapters are applied in succession; "none": their changes are not rotations. */
  readonly product: "none" | ProductAlgebra<S>;
}

/** The change is linear in the difference of each tensor from its start, which is in the base. */
interface StartAlgebra {
  readonly kind: "from-start";
}

/** How adapters of a method are combined. */
export type Algebra<O, S> = {
  /** Why an adapter with these options cannot be combined; null when it can. */
  refuses(options: O): string | null;
  /** Suffixes of the names of a site's trained tensors in files. */
  readonly suffixes: readonly string[];
  /** Kind and sizes of a projection, derived from its tensors; 1 for an unknown size. */
  sizeOf(tensors: SiteTensors, options: O): Pick<SiteSpec, "kind" | "inFeatures" | "outFeatures">;
  /** Returns options that give each site, by path, its own. `terms`: the options of the combined adapters. */
  optionsOf(sites: ReadonlyMap<string, S>, terms: readonly [O, ...O[]]): O;
} & (FactorAlgebra<S> | VectorAlgebra<S> | StartAlgebra);

/** The arithmetic of tensors that represent a change by their difference from the base's own. */
export function startAlgebra<O, S>(suffixes: readonly string[] = []): Algebra<O, S> {
  return {
    kind: "from-start",
    refuses: () => null,
    suffixes,
    sizeOf: () => ({ kind: "linear", inFeatures: 1, outFeatures: 1 }),
    optionsOf: (_sites, [first]) => first,
  };
}
