/** @file Part of the contract of a method: how its adapter is merged into the weights. */
import type { SiteSpec } from "../../models/graphs/sites.ts";
import type { StoredTensor } from "../../quant/stored-tensor.ts";
import type { StorageName } from "../../quant/storages.ts";
import type { Tensors } from "../../runtime/host-tensor.ts";
import type { SitePlace, SiteValues, SiteWeights } from "../sites/site.ts";

/** How an adapter goes into the weights. */
export interface MergeRule<S> {
  /** Builds the merged weights. */
  graph(base: SiteWeights, values: SiteValues, site: SiteSpec, options: S): SiteWeights;
  /** How a merged weight is kept without being rounded to new codes; "requantized": it is quantized again. */
  readonly stored: "requantized" | StoredMerge<S>;
}

/** A way to keep a tensor. */
export interface ExactKind {
  readonly storage: StorageName;
  /** Columns that share a scale, of a kind that leaves that to each tensor; else null. */
  readonly groupSize: number | null;
}

/** How a method merges into codes without rounding the weight to new ones. */
export interface StoredMerge<S> {
  /** The kinds that hold the merged weight so, the base's own first if it is one. */
  kinds(site: SitePlace, options: S): readonly ExactKind[];
  /** Makes it in one of them of the base's weight. */
  make(kind: StorageName, kept: StoredTensor, adapted: MergedSite<S>): StoredTensor;
}

/** A site with what an adapter has there. */
interface MergedSite<S> {
  readonly site: SitePlace;
  /** Trained and frozen. */
  readonly tensors: Tensors;
  readonly options: S;
}
