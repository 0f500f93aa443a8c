/** @file Part of the contract of a method: how the rows of one batch can have different adapters. */
import type { Value } from "../../graph/graph.ts";
import type { SiteSpec } from "../../models/graphs/sites.ts";
import type { SiteGraph } from "../../models/graphs/site-graph.ts";
import { type HostTensor, hostTensor } from "../../runtime/host-tensor.ts";
import type { SiteTensors, SiteValues, SiteWeights } from "../sites/site.ts";

/** What an adapter gives at a site to the rows that have it. */
export interface RowForm<S> {
  /** A tensor that is smaller than in other adapters, or missing, is filled up with zeros. */
  readonly tensors: SiteTensors;
  /** Tensors [n, m] that rows have as [m, n], with the factor on each of the n lines. A transposed copy of them would be in memory twice. */
  readonly turned?: Readonly<Record<string, (line: number) => number>>;
  readonly options: S;
}

/** What is made of an adapter once, when it comes. */
interface RowForms<S> {
  /**
   * Builds what the form needs of the base's weights, which is computed once, when an adapter comes, and put beside its tensors;
   * null: nothing. Its names are no suffixes.
   */
  readonly ofBase: ((base: SiteWeights, values: SiteValues, site: SiteSpec, options: S) => SiteValues) | null;
  /** Made once of an adapter's trained and frozen tensors, when adapters are put together. Null: there is none. */
  form(tensors: SiteTensors, site: SiteSpec, options: S): RowForm<S> | null;
}

/**
 * Forms that are stacked: row i of every tensor is that of the adapter of row i. Adapters of methods with the same `adapt` share
 * a stack where the options of their forms are equal; those of others run one around the other.
 */
export interface StackedBatch<S> extends RowForms<S> {
  readonly added: null;
  /** The form of a row that has no adapter at this site: its output is the base's. Null: there is none. */
  identity(site: SiteSpec, options: S): RowForm<S> | null;
  /** Builds the projection of x [B, T, in]; values are [B, ...shape], and frozen tensors that are the same for all as they are. */
  adapt(site: SiteGraph, x: Value, values: SiteValues, options: S): Value;
}

/** Forms that are as large as weights: no row has a copy of its own, the rows that have an adapter are picked for it. */
export interface PickedBatch<S> extends RowForms<S> {
  /** Builds what one adapter adds to the base's output for x [n, T, in], the inputs of the rows that have it; values are its own. */
  readonly added: (x: Value, values: SiteValues) => Value;
}

/** How rows of one batch have adapters of their own. */
export type BatchRule<S> = StackedBatch<S> | PickedBatch<S>;

/** Rows of a method without sites: what each has of its own are vectors of the base, as any adapter may. */
export const ONLY_VECTORS: StackedBatch<unknown> = {
  ofBase: null,
  added: null,
  form: (tensors, _site, options) => ({ tensors, options }),
  identity: (_site, options) => ({ tensors: {}, options }),
  adapt: (site, x) => site.project(x),
};

/** A row's vector as programs multiply it with [T, width]; the same memory. */
export function perToken(data: Float32Array): HostTensor<"float32"> {
  return hostTensor("float32", [1, data.length], data);
}
