/** @file Part of the contract of a method: how rows of one batch can have different adapters. */
import type { Value } from "../../graph/graph.ts";
import type { SiteSpec } from "../../models/graphs/sites.ts";
import type { SiteGraph } from "../../models/graphs/site-graph.ts";
import { type HostTensor, hostTensor } from "../../runtime/host-tensor.ts";
import type { SiteTensors, SiteValues, SiteWeights } from "../sites/site.ts";

/** An adapter's tensors at a site, in the form for rows of a batch. */
export interface RowForm<S> {
  /** A tensor that is missing, or smaller than in other adapters, is padded with zeros. */
  readonly tensors: SiteTensors;
  /**
   * Tensors [n, m] that rows have transposed, with the factor on each of the n lines. Transposing them only when copied avoids a
   * second copy in memory.
   */
  readonly turned?: Readonly<Record<string, (line: number) => number>>;
  readonly options: S;
}

/** What is computed once for an adapter, when it is added. */
interface RowForms<S> {
  /**
   * Builds the values that the form needs from the base's weights. They are computed once, when an adapter is added, and passed
   * with its tensors; null: none. Their names must not be suffixes of tensors.
   */
  readonly ofBase: ((base: SiteWeights, values: SiteValues, site: SiteSpec, options: S) => SiteValues) | null;
  /** Makes the form from an adapter's trained and frozen tensors, once, when adapters are combined into a batch. Null: there is none. */
  form(tensors: SiteTensors, site: SiteSpec, options: S): RowForm<S> | null;
}

/**
 * Forms that are stacked: row i of every tensor belongs to the adapter of row i. Adapters of methods with the same `adapt` share
 * a stack if the options of their forms are equal; other stacks are nested.
 */
export interface StackedBatch<S> extends RowForms<S> {
  readonly added: null;
  /** The form of a row without an adapter at this site, whose output is the base's. Null: there is none. */
  identity(site: SiteSpec, options: S): RowForm<S> | null;
  /** Builds the projection of x [B, T, in]; values are [B, ...shape], except frozen tensors that are the same for all rows. */
  adapt(site: SiteGraph, x: Value, values: SiteValues, options: S): Value;
}

/** Forms that are as large as weights: instead of a copy for each row, the rows that have an adapter are picked. */
export interface PickedBatch<S> extends RowForms<S> {
  /** Builds what one adapter adds to the base's output for the inputs x [n, T, in] of its rows; values are those of the adapter. */
  readonly added: (x: Value, values: SiteValues) => Value;
}

/** How rows of one batch have adapters of their own. */
export type BatchRule<S> = StackedBatch<S> | PickedBatch<S>;

/** The rule for a method without sites: rows only have their own vectors of the base, as with any adapter. */
export const ONLY_VECTORS: StackedBatch<unknown> = {
  ofBase: null,
  added: null,
  form: (tensors, _site, options) => ({ tensors, options }),
  identity: (_site, options) => ({ tensors: {}, options }),
  adapt: (site, x) => site.project(x),
};

/** Reshapes a row's vector so that it broadcasts to [T, width]; the same memory. */
export function perToken(data: Float32Array): HostTensor<"float32"> {
  return hostTensor("float32", [1, data.length], data);
}
