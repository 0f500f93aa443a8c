/** @file A site in a graph of its own, with its weights and an adapter's tensors as inputs, and the tensors to feed them. */
import { Graph, type Value } from "../../graph/graph.ts";
import { transpose } from "../../graph/ops/shapes/transpose.ts";
import type { BaseModel } from "../../models/base/base-model.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import type { Adapter } from "../attach.ts";
import type { AdaptedSite } from "../layout.ts";
import { type SiteValues, type SiteWeights, inputTensors } from "./site.ts";

interface SiteInputs {
  readonly weights: SiteWeights;
  readonly values: SiteValues;
  /** All inputs: the weight in the base's layout, the bias if there is one, and the adapter's tensors by suffix. */
  readonly inputs: Record<string, Value>;
}

/** Makes a graph with the inputs of a site. */
export function inputSite(site: AdaptedSite): SiteInputs {
  const graph = new Graph();
  const { spec } = site;
  const { inFeatures, outFeatures, storedTransposed, kind } = spec;
  const isTransposed = storedTransposed || kind === "embedding";
  const kept = graph.input(
    "weight",
    "float32",
    isTransposed ? [inFeatures, outFeatures] : [outFeatures, inFeatures],
  );
  const bias = spec.bias ? graph.input("bias", "float32", [outFeatures]) : null;
  const values = inputTensors(site, (suffix, shape, dtype) => graph.input(suffix, dtype, shape), null);
  return {
    weights: { weight: storedTransposed ? transpose(kept, [1, 0]) : kept, bias },
    values,
    inputs: { weight: kept, ...(bias && { bias }), ...values },
  };
}

/** Returns the tensors for the inputs of a site: the adapter's, and weight and bias of `module`, which the adapter may have replaced. */
export async function feedSite(
  { base, adapter }: { readonly base: BaseModel; readonly adapter: Adapter },
  site: AdaptedSite,
  module: string,
  inputs: Readonly<Record<string, unknown>>,
): Promise<Record<string, HostTensor>> {
  const feeds: Record<string, HostTensor> = { ...adapter.tensorsOf(site) };
  for (const own of ["weight", "bias"]) {
    const name = `${module}.${own}`;
    if (own in inputs) feeds[own] = adapter.tensor(name) ?? (await base.values(name));
  }
  return feeds;
}
