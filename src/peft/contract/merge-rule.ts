/** @file Part of the contract of a method: how its adapter is merged into the weights. */
import type { SiteSpec } from "../../models/graphs/sites.ts";
import type { StoredTensor } from "../../quant/stored-tensor.ts";
import type { StorageName } from "../../quant/storages.ts";
import type { Tensors } from "../../runtime/host-tensor.ts";
import type { SitePlace, SiteValues, SiteWeights } from "../sites/site.ts";

/** How an adapter is merged into weights. */
export interface MergeRule<S> {
  /** Builds the merged weights. */
  graph(base: SiteWeights, values: SiteValues, site: SiteSpec, options: S): SiteWeights;
  /** How a merged weight is stored without being rounded to new codes; "requantized": it is quantized again. */
  readonly stored: "requantized" | StoredMerge<S>;
}

/** A way to store a tensor. */
export interface ExactKind {
  readonly storage: StorageName;
  /** Columns that share a scale, for kinds where this differs between tensors; else null. */
  readonly groupSize: number | null;
}

/** How a method merges into codes without rounding the weight to new ones. */
export interface StoredMerge<S> {
  /** Lists the kinds that can store the merged weight this way, the base's own first if it is one. */
  kinds(site: SitePlace, options: S): readonly ExactKind[];
  /** Makes the merged weight in one of these kinds from the base's stored weight. */
  make(kind: StorageName, kept: StoredTensor, adapted: MergedSite<S>): StoredTensor;
}

/** A site with an adapter's tensors there. */
interface MergedSite<S> {
  readonly site: SitePlace;
  /** Trained and frozen. */
  readonly tensors: Tensors;
  readonly options: S;
}
