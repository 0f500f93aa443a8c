/**
 * @file What a method says of adapter arithmetic: how its tensors stand for a change of the model that can be added,
 * scaled and negated. Adding, pruning and electing signs are written once, in `algebra/`.
 *
 * Paper: "Composing Parameter-Efficient Modules with Arithmetic Operations", arXiv:2306.14870.
 */
import type { SiteSpec } from "../../models/graphs/sites.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import type { SiteTensors } from "../sites/site.ts";
import type { Coefficient } from "./coefficients.ts";

/** A change that is bilinear in two tensors: scale · up · down, or one that scales as this does. */
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
  /** Its weight when the expression is multiplied out. */
  readonly weight: number;
  /** Its weights by the paper's operators. */
  readonly coefficient: Coefficient;
  readonly of: T;
}

/** The change is a product of two factors. */
export interface FactorAlgebra<S> {
  readonly kind: "factors";
  /** The factors; views. */
  split(state: SiteState<S>): FactorPair;
  /** A site with these factors, in the form that `like` has. */
  join(pair: FactorPair, like: SiteState<S>): SiteState<S>;
  /** Why factors of several adapters, side by side, are no adapter of the method; null when they are one. */
  readonly notConcatenable: string | null;
}

/** A change that is linear in vectors, by names of the method's choice; zeros change nothing. */
type Change = Readonly<Record<string, Float64Array>>;

/** What a site's tensors stand for as vectors that add up, both ways. */
export interface ChangeForm<S> {
  /** The change, in new memory. */
  toChange(state: SiteState<S>): Change;
  /** The tensors that change just so, for a site with the options of `like`. */
  fromChange(change: Change, like: SiteState<S>): SiteTensors;
}

/** Changes that are applied one after another, each to the power of a weight. */
export interface ProductAlgebra<S> {
  /** Why a change has no such power, as words that follow the site's name; null: it has one. */
  refuses(state: SiteState<S>, weight: number): string | null;
  /** The tensors that change what those of the sites do, the first one first; all have the same options. */
  multiply(terms: readonly { readonly state: SiteState<S>; readonly weight: number }[]): SiteTensors;
}

/** The change is linear in vectors. */
export interface VectorAlgebra<S> extends ChangeForm<S> {
  readonly kind: "vectors";
  /** The change is linear in the tensors' numbers themselves. */
  readonly isLinear: boolean;
  /** How adapters are applied one after another; "none": their changes are no rotations. */
  readonly product: "none" | ProductAlgebra<S>;
}

/** The change is linear in the difference of each tensor from its start, which the base has. */
interface StartAlgebra {
  readonly kind: "from-start";
}

/** How adapters of a method are combined. */
export type Algebra<O, S> = {
  /** Why an adapter with these options cannot be combined; null when it can. */
  refuses(options: O): string | null;
  /** Ends of the names that a site's trained tensors can have in a file. */
  readonly suffixes: readonly string[];
  /** Kind and sizes of a projection as its tensors tell them; 1 where they do not. */
  sizeOf(tensors: SiteTensors, options: O): Pick<SiteSpec, "kind" | "inFeatures" | "outFeatures">;
  /** Options that give each site, by path, its own. `terms`: those of the adapters that were combined. */
  optionsOf(sites: ReadonlyMap<string, S>, terms: readonly [O, ...O[]]): O;
} & (FactorAlgebra<S> | VectorAlgebra<S> | StartAlgebra);

/** The arithmetic of tensors that stand for a change by their difference from the base's own. */
export function startAlgebra<O, S>(suffixes: readonly string[] = []): Algebra<O, S> {
  return {
    kind: "from-start",
    refuses: () => null,
    suffixes,
    sizeOf: () => ({ kind: "linear", inFeatures: 1, outFeatures: 1 }),
    optionsOf: (_sites, [first]) => first,
  };
}
