/**
 * @file What the programs of a model need of what sits on it: how projections are built, and the tensors that they read,
 * bound to the names of their inputs once. `layer` null: outside the blocks.
 */
import type { Value } from "../graph/graph.ts";
import type { LookupGraph, Projector, SiteGraph } from "../models/site-graph.ts";
import type { HostTensor } from "../runtime/host-tensor.ts";
import { type AdaptedSite, type Layout, indexSites, placesOf } from "./layout.ts";
import type { Method } from "./method.ts";
import type { Parameter } from "./parameters.ts";
import type { SiteValues } from "./site.ts";

export interface AdapterView {
  /** Builds the projections of a block. */
  projector(layer: number | null): Projector;
  /** Builds the look-up of embeddings. */
  lookUp(graph: LookupGraph): Value;
  /** Equal for layers of one kind that can share programs. */
  signature(layer: number | null): string;
  /** What a layer's programs read instead of the base or beside it, by their inputs' names; the same at every call. */
  inputs(layer: number | null): Readonly<Record<string, HostTensor>>;
  /** What is trained of a layer. */
  trained(layer: number | null): readonly Parameter[];
}

/** What a view is made of. */
export interface ViewParts extends Pick<Layout, "model" | "sites"> {
  readonly method: Method;
  readonly parameters: readonly Parameter[];
  /** Trained and frozen tensors of a site, by suffix. */
  tensorsOf(site: AdaptedSite): Readonly<Record<string, HostTensor>>;
  /** Tensors outside the blocks that the base has under another name, by input. */
  readonly copies: Readonly<Record<string, HostTensor>>;
}

const NOTHING: readonly never[] = [];
const NO_INPUTS = {};

/** Makes the view of an adapter. */
export function viewAdapter(parts: ViewParts): AdapterView {
  const { model, sites, parameters } = parts;
  const method = parts.method.kind === "adapter" ? parts.method : null;
  const siteAt = indexSites(sites.values());
  const inputs = bindInputs(parts);
  const trained = Map.groupBy(parameters, ({ layer }) => layer);
  return {
    inputs: (layer) => inputs.get(layer) ?? NO_INPUTS,
    trained: (layer) => trained.get(layer) ?? NOTHING,
    projector: (layer) => (graph, x) => {
      const site = siteAt(layer, graph.spec.name);
      return site && method ? method.adapt(graph, x, addInputs(site, graph), site.options) : graph.project(x);
    },
    lookUp: (graph) => {
      const site = siteAt(null, graph.spec.name);
      return site && method && method.lookup !== "not-on-embeddings"
        ? method.lookup(graph, addInputs(site, graph), site.options)
        : graph.rows;
    },
    signature: (layer) =>
      JSON.stringify([
        parts.method.name,
        ...placesOf(model, layer).map(({ name }) => {
          const site = siteAt(layer, name);
          return site ? [name, site.options, site.parameters.map((p) => p.shape), site.frozen] : null;
        }),
      ]),
  };
}

/** Lists the tensors of each layer by the names of its programs' inputs. */
function bindInputs(parts: ViewParts): Map<number | null, Record<string, HostTensor>> {
  const { parameters, sites, copies } = parts;
  const inputs = new Map<number | null, Record<string, HostTensor>>([[null, { ...copies }]]);
  const bind = (layer: number | null, name: string, tensor: HostTensor): void => {
    const bound = inputs.get(layer) ?? {};
    inputs.set(layer, bound);
    bound[name] = tensor;
  };
  for (const { layer, input, value } of parameters) bind(layer, input, value);
  for (const site of sites.values()) {
    for (const [suffix, tensor] of Object.entries(parts.tensorsOf(site))) {
      bind(site.layer, `${site.spec.name}.${suffix}`, tensor);
    }
  }
  return inputs;
}

/** Adds the tensors of a site to a graph as inputs. */
function addInputs(site: AdaptedSite, graph: Pick<SiteGraph, "input">): SiteValues {
  return Object.fromEntries(
    [...site.parameters.map((p) => ({ ...p, dtype: "float32" as const })), ...site.frozen].map(
      ({ suffix, shape, dtype }) => [suffix, graph.input(suffix, shape, dtype)],
    ),
  );
}
