/**
 * @file Builds the graph of one block from a family's definition: inputs, kept activations, output, cache rows.
 *
 * The projections are built by a projector that is passed in, so adapters sit here without the family knowing.
 */
import type { DType } from "../graph/dtype.ts";
import { Graph, type Value } from "../graph/graph.ts";
import { mul } from "../graph/ops/mul.ts";
import type { Shape } from "../graph/shape.ts";
import { linear } from "../nn/linear.ts";
import { attention } from "../nn/attention.ts";
import type { Architecture, ModelConfig, SiteSpec } from "./architecture.ts";
import { blockTensors, residualSite } from "./architecture.ts";

/** The frozen parts of a projection and what may be built around them; of the residual stream, the identity. */
export interface SiteGraph {
  readonly spec: SiteSpec;
  /** [out, in] @throws TypeError on the residual stream, which has none */
  readonly weight: Value;
  /** [out], or null when the layer has none. */
  readonly bias: Value | null;
  /** x [..., in] to x Wᵀ + b. */
  project(x: Value): Value;
  /** Adds an input of the block program, named after the site: an adapter's tensor. */
  input(name: string, shape: readonly number[], dtype: DType): Value;
  /**
   * Multiplies x by a mask of zeros and 1/(1-p), drawn by whoever runs the program; x itself when not training or p = 0.
   */
  dropout(x: Value, probability: number): Value;
  /** Adds an input of the block program that all sites share; whoever runs it gives it with the mask and the positions. */
  context(name: string, dtype: DType, shape: Shape): Value;
  /** Marks an activation from which the site's output is cheap: a backward program had better be given it than that. */
  keep(name: string, value: Value): Value;
  /** Marks a small value that takes long to compute: a backward program is given it, whatever else it computes again. */
  remember(name: string, value: Value): Value;
}

/** The frozen parts of a look-up of embeddings and what may be built around them. */
export interface LookupGraph {
  readonly spec: SiteSpec;
  /** int64 [B, T] */
  readonly ids: Value;
  /** The rows of the base, [B, T, out]. */
  readonly rows: Value;
  /** Adds an input of the program, named after the site: an adapter's tensor. */
  input(name: string, shape: readonly number[], dtype: DType): Value;
}

/** Builds the projection of a site. */
export type Projector = (site: SiteGraph, x: Value) => Value;

/** The projection of a site without an adapter. */
export const FROZEN: Projector = (site, x) => site.project(x);

/** The residual stream as a projection. */
const IDENTITY: Pick<SiteGraph, "weight" | "bias" | "project"> = {
  get weight(): Value {
    throw new TypeError("Cannot read the weight of the residual stream: it has none");
  },
  bias: null,
  project: (value) => value,
};

/** How a block is to be built. */
export interface BlockGraphOptions {
  readonly projector: Projector;
  /** Reads and extends a cache of keys and values. */
  readonly cached: boolean;
  /** Draws dropout. */
  readonly training: boolean;
  /** Queries of one attention chunk and the number of chunks that T makes. */
  readonly chunk: { readonly length: number; readonly count: number };
}

/** The graph of a block and its named values. Symbols: B rows, T tokens, P cached tokens, R rows of rotary tables. */
export interface BlockGraph {
  readonly graph: Graph;
  /** [B, T, D] */
  readonly x: Value;
  /** [B, T, D] */
  readonly y: Value;
  /** Tensors of the block, by path inside the block. */
  readonly tensors: Readonly<Record<string, Value>>;
  /** What a projector added, by site and name: `self_attn.q_proj.lora_A.weight`. */
  readonly adapter: Readonly<Record<string, Value>>;
  /** Dropout masks [B, T, in] by site, with their probability. */
  readonly dropout: Readonly<Record<string, { readonly mask: Value; readonly probability: number }>>;
  /** mask; positions, cos, sin where queries and keys are turned; past_key, past_value when cached. */
  readonly context: Readonly<Record<string, Value>>;
  /** Activations worth keeping for the backward program. */
  readonly kept: Readonly<Record<string, Value>>;
  /** [B, T, K, E] each. */
  readonly newKey: Value;
  readonly newValue: Value;
}

/** Builds the graph of a block. */
export function buildBlockGraph(
  architecture: Architecture,
  config: ModelConfig,
  options: BlockGraphOptions,
): BlockGraph {
  const graph = new Graph();
  const { numHeads, numKeyValueHeads, headWidth, causal } = config;
  const x = graph.input("x", "float32", ["B", "T", config.width]);
  const tensors: Record<string, Value> = {};
  for (const { name, shape } of blockTensors(architecture, config)) {
    tensors[name] = graph.input(name, "float32", shape);
  }
  const mask = graph.input("mask", "float32", ["B", 1, "T", options.cached ? "P+T" : "T"]);
  const tableShape = ["R", headWidth / 2];
  const rope = config.rope && {
    positions: graph.input("positions", "int64", ["B", "T"]),
    cos: graph.input("cos", "float32", tableShape),
    sin: graph.input("sin", "float32", tableShape),
  };
  const context: Record<string, Value> = { mask, ...rope };
  if (options.cached) {
    const pastShape = ["B", "P", numKeyValueHeads, headWidth];
    context["past_key"] = graph.input("past_key", "float32", pastShape);
    context["past_value"] = graph.input("past_value", "float32", pastShape);
  }
  const adapter: Record<string, Value> = {};
  const dropout: Record<string, { mask: Value; probability: number }> = {};
  const kept: Record<string, Value> = {};
  /** Outputs of sites that kept what they are made of. */
  const cheap = new Set<Value>();
  const need = (values: Record<string, Value>, name: string): Value => {
    const value = values[name];
    if (!value) throw new RangeError(`Cannot build a ${config.modelType} block: it has no "${name}"`);
    return value;
  };
  const sites = new Map(architecture.sites(config).map((spec) => [spec.name, spec]));
  const cacheRows: { newKey?: Value; newValue?: Value } = {};
  const place = (
    spec: SiteSpec,
    frozen: Pick<SiteGraph, "weight" | "bias" | "project">,
    input: Value,
  ): Value => {
    const { name } = spec;
    let isCheap = false;
    const site: SiteGraph = {
      spec,
      get weight() {
        return frozen.weight;
      },
      bias: frozen.bias,
      project: (value) => frozen.project(value),
      input: (suffix, shape, dtype) =>
        (adapter[`${name}.${suffix}`] ??= graph.input(`${name}.${suffix}`, dtype, shape)),
      dropout: (value, probability) => {
        if (!options.training || probability === 0) return value;
        const mask = graph.input(`dropout.${name}`, "float32", value.shape);
        dropout[name] = { mask, probability };
        return mul(value, mask);
      },
      context: (key, dtype, shape) => (context[key] ??= graph.input(key, dtype, shape)),
      keep: (suffix, value) => {
        isCheap = true;
        return site.remember(suffix, value);
      },
      remember: (suffix, value) => (kept[`${name}.${suffix}`] = value),
    };
    const output = options.projector(site, input);
    if (isCheap) cheap.add(output);
    return output;
  };
  const stream = architecture.block(
    {
      tensor: (name) => need(tensors, name),
      project: (name, input) => {
        const spec = sites.get(name);
        if (!spec) throw new RangeError(`Cannot build a ${config.modelType} block: it has no site "${name}"`);
        const weight = need(tensors, `${name}.weight`);
        const bias = spec.bias ? need(tensors, `${name}.bias`) : null;
        return place(spec, { weight, bias, project: (value) => linear(value, weight, bias) }, input);
      },
      attend: (q, k, v) => {
        const past = options.cached
          ? { key: need(context, "past_key"), value: need(context, "past_value") }
          : null;
        const result = attention(
          q,
          k,
          v,
          { numHeads, numKeyValueHeads, headWidth },
          { mask, causal, rope, past, chunk: options.chunk },
        );
        Object.assign(kept, result.kept);
        Object.assign(cacheRows, { newKey: result.newKey, newValue: result.newValue });
        return result.output;
      },
      keep: (name, value) => (cheap.has(value) ? value : (kept[name] = value)),
    },
    x,
    config,
  );
  const y = place(residualSite(config), IDENTITY, stream);
  const { newKey, newValue } = cacheRows;
  if (!newKey || !newValue)
    throw new RangeError(`Cannot build a ${config.modelType} block without attention`);
  return { graph, x, y, tensors, adapter, dropout, context, kept, newKey, newValue };
}
