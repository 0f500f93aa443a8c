/**
 * @file What the programs of a model need from its adapter: how projections are built, and the tensors that they read, by input
 * names, listed once. `layer` null: outside the blocks.
 */
import type { Value } from "../graph/graph.ts";
import { requireValue } from "../graph/require-value.ts";
import { PLAIN_PART, type PartOptions } from "../models/graphs/part-options.ts";
import type { Model } from "../models/model.ts";
import { isOutside } from "../models/module-path.ts";
import {
  AS_IN_BASE,
  FROZEN,
  FROZEN_ROWS,
  type LookupGraph,
  type Projector,
  type ReadTensor,
  type SiteGraph,
} from "../models/graphs/site-graph.ts";
import type { HostTensor, Tensors } from "../runtime/host-tensor.ts";
import { type AdaptedSite, type Layout, indexSites, placesOf } from "./layout.ts";
import { type AdapterMethod, type Method, splitStack } from "./method.ts";
import type { Parameter } from "./parameters.ts";
import { type BoundForm, type SiteValues, inputTensors } from "./sites/site.ts";
import { rowNumbers, trainedRowsIn, withColumns, withRows } from "./trained-base/token-rows.ts";

export interface AdapterView {
  /** Builds the projections of a block. */
  projector(layer: number | null): Projector;
  /** Reads the base's own tensors. */
  readTensor(layer: number | null): ReadTensor;
  /** Builds the look-up of embeddings. */
  lookUp(graph: LookupGraph): Value;
  /** Equal for layers of the same kind that can share programs. */
  signature(layer: number | null): string;
  /** Tensors that a layer's programs read instead of the base's or beside them, by input name; the same object at every call. */
  inputs(layer: number | null): Tensors;
  /** Tensors that a layer's programs bind when compiled, by input name; the same object at every call. */
  constants(layer: number | null): Tensors;
  /** The trained parameters of a layer; a tensor outside the blocks that blocks read belongs to each of these. */
  trained(layer: number | null): readonly Parameter[];
}

const NOTHING: readonly never[] = [];
const NO_INPUTS = {};

/** The base without an adapter. */
export const NO_ADAPTER: AdapterView = {
  projector: () => FROZEN,
  readTensor: () => AS_IN_BASE,
  lookUp: FROZEN_ROWS,
  signature: () => "frozen",
  inputs: () => NO_INPUTS,
  constants: () => NO_INPUTS,
  trained: () => NOTHING,
};

/**
 * Returns the options for building a block, or (`layer` null) the parts outside the blocks, with an adapter; all else as in
 * `PLAIN_PART`.
 */
export function partWith(
  adapter: Pick<AdapterView, "projector" | "readTensor" | "lookUp">,
  layer: number | null,
): PartOptions {
  return {
    ...PLAIN_PART,
    projector: adapter.projector(layer),
    readTensor: adapter.readTensor(layer),
    lookUp: (graph) => adapter.lookUp(graph),
  };
}

interface ViewParts extends Pick<Layout, "model" | "sites"> {
  readonly method: Method;
  readonly parameters: readonly Parameter[];
  /** Trained and frozen tensors of a site, by suffix. */
  tensorsOf(site: AdaptedSite): Tensors;
  /** The tensor of a site that programs bind; null: all are fed. */
  boundOf(site: AdaptedSite): BoundTensor | null;
  /** Tied tensors outside the blocks that stay as in the base, by input. */
  readonly copies: Tensors;
}

/** A frozen tensor in the form that programs bind. */
export interface BoundTensor extends Omit<BoundForm, "make"> {
  readonly tensor: HostTensor;
}

/** Makes the view of an adapter. */
export function viewAdapter(parts: ViewParts): AdapterView {
  const { sites, parameters } = parts;
  const method = parts.method.kind === "adapter" ? parts.method : null;
  const siteAt = indexSites(sites.values());
  const [inputs, constants] = bindTensors(parts);
  const addInputs: AddInputs = (site, graph) => inputTensors(site, graph.input, parts.boundOf(site));
  const rows = trainedRowsIn(parameters);
  const project = method ? projectorsOf(method, siteAt, addInputs) : () => FROZEN;
  const trained = new Map<number | null, Parameter[]>();
  for (const parameter of parameters) {
    for (const layer of readersOf(parts.model, parameter)) {
      const own = trained.get(layer) ?? [];
      trained.set(layer, own);
      own.push(parameter);
    }
  }
  return {
    inputs: (layer) => inputs.get(layer) ?? NO_INPUTS,
    constants: (layer) => constants.get(layer) ?? NO_INPUTS,
    trained: (layer) => trained.get(layer) ?? NOTHING,
    projector: (layer) => {
      const inner = project(layer);
      return layer === null ? (graph, x) => withColumns(graph, x, inner(graph, x), rows) : inner;
    },
    readTensor: () => AS_IN_BASE,
    lookUp: (graph) => {
      const site = siteAt(null, graph.spec.name);
      const found =
        site && method && method.lookup !== "not-on-embeddings"
          ? method.lookup(graph, addInputs(site, graph), site.options)
          : graph.rows;
      return withRows(graph, found, rows);
    },
    signature: (layer) => signatureOf(parts, siteAt, layer === null ? rows : [], layer),
  };
}

/** The layers whose programs read a parameter: its own, or for a tensor outside the blocks the blocks that read it. */
function readersOf(
  { layers }: Model,
  { layer, input }: Pick<Parameter, "layer" | "input">,
): readonly (number | null)[] {
  if (!isOutside(input)) return [layer];
  return [...layers.keys()].filter((index) => layers[index]!.tensors.some(({ name }) => name === input));
}

/** Everything that decides which programs a layer has, as text. */
function signatureOf(
  { model, method }: Pick<ViewParts, "model" | "method">,
  siteAt: ReturnType<typeof indexSites>,
  rows: readonly { readonly name: string; readonly shape: readonly number[] }[],
  layer: number | null,
): string {
  const places = placesOf(model, layer).map(({ name }) => {
    const site = siteAt(layer, name);
    return site ? [name, site.options, site.parameters.map((p) => p.shape), site.frozen] : null;
  });
  return JSON.stringify([method.name, ...rows.map(({ name, shape }) => [name, shape]), ...places]);
}

/** Adds the tensors of a site to a graph, as inputs. */
type AddInputs = (site: AdaptedSite, graph: Pick<SiteGraph, "input">) => SiteValues;

/** Builds projections with the adapter on them, or on the stack that contains their matrix. */
function projectorsOf(
  method: AdapterMethod,
  siteAt: ReturnType<typeof indexSites>,
  addInputs: AddInputs,
): AdapterView["projector"] {
  // A stack's tensors are split once in a graph, for all projections whose matrices it contains.
  const cut = new WeakMap<Value, readonly SiteValues[]>();
  const valuesInStack = (stack: AdaptedSite, graph: SiteGraph): SiteValues => {
    const values = addInputs(stack, { input: (...of) => graph.inputOfStack(...of) });
    const [first] = Object.values(values) as [Value];
    const all = cut.get(first) ?? splitStack(method, values, stack.spec);
    cut.set(first, all);
    return all[graph.spec.stack!.index]!;
  };
  return (layer) => (graph, x) => {
    const { name, stack } = graph.spec;
    const own = siteAt(layer, name);
    const site = own ?? (stack && siteAt(layer, stack.name));
    if (!site) return graph.project(x);
    const values = own ? addInputs(own, graph) : valuesInStack(site, graph);
    return requireValue(
      method.adapt(graph, x, values, site.options),
      { like: x, shape: [...x.shape.slice(0, -1), graph.spec.outFeatures] },
      `method "${method.name}" at "${site.path}": adapt() returns`,
    );
  };
}

/** Tensors of each layer, by input name. */
export type ByLayer<T extends HostTensor = HostTensor> = Map<number | null, Record<string, T>>;

/** Adds a tensor to those of its layer. */
export function addTensor<T extends HostTensor>(
  to: ByLayer<T>,
  layer: number | null,
  name: string,
  tensor: T,
): void {
  const own = to.get(layer) ?? {};
  to.set(layer, own);
  own[name] = tensor;
}

/** Lists the tensors of each layer that are fed and those that are bound, by input name. */
function bindTensors(parts: ViewParts): [fed: ByLayer, bound: ByLayer] {
  const { parameters, sites, copies } = parts;
  const [inputs, constants]: [ByLayer, ByLayer] = [new Map([[null, { ...copies }]]), new Map()];
  for (const parameter of parameters) {
    const { input, value } = parameter;
    for (const layer of readersOf(parts.model, parameter)) addTensor(inputs, layer, input, value);
  }
  for (const [input, numbers] of Object.entries(rowNumbers(trainedRowsIn(parameters))))
    addTensor(inputs, null, input, numbers);
  for (const site of sites.values()) {
    const { layer, spec } = site;
    const bound = parts.boundOf(site);
    if (bound) addTensor(constants, layer, `${spec.name}.${bound.spec.suffix}`, bound.tensor);
    for (const [suffix, tensor] of Object.entries(parts.tensorsOf(site))) {
      if (suffix !== bound?.of) addTensor(inputs, layer, `${spec.name}.${suffix}`, tensor);
    }
  }
  return [inputs, constants];
}
