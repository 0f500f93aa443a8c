/** @file The graph of final norm, output head and loss, with whatever adapter sits on the head. */
import { Graph, type Value } from "../graph/graph.ts";
import { crossEntropy } from "../graph/ops/cross-entropy.ts";
import { linearCrossEntropy } from "../graph/ops/linear-cross-entropy.ts";
import { mul } from "../graph/ops/mul.ts";
import { headTensor, outerSites } from "../models/architecture.ts";
import type { BaseModel } from "../models/base-model.ts";
import { FROZEN, type SiteGraph } from "../models/block-graph.ts";
import { linear } from "../nn/linear.ts";
import type { Overlay } from "../peft/attach.ts";

/** Named values of the graph. Symbol: N positions. */
export interface HeadGraph {
  readonly graph: Graph;
  /** [N, D] */
  readonly hidden: Value;
  /** Tensors of the base and of what sits on it, by full name. */
  readonly tensors: Readonly<Record<string, Value>>;
  /** [N, V] */
  readonly logits: Value;
  /** Mask [N, D] of dropped inputs of the adapter; null: nothing is dropped. */
  readonly dropout: { readonly mask: Value; readonly probability: number } | null;
  /** Losses [N, 1] of labels int64 [N]. */
  loss(labels: Value): Value;
}

/** Whether the head has a matrix of its own in an overlay, though the base's is that of the embedding. */
export function headName({ architecture, config }: BaseModel, overlay: Overlay | null): string {
  const { head } = architecture.names;
  return overlay?.input(head) ? head : headTensor(architecture, config);
}

/** Builds the graph. `training`: draw dropout. */
export function buildHeadGraph(base: BaseModel, overlay: Overlay | null, training: boolean): HeadGraph {
  const { architecture, config } = base;
  const { headBias } = architecture.names;
  const graph = new Graph();
  const hidden = graph.input("hidden", "float32", ["N", config.width]);
  const tensors: Record<string, Value> = {};
  const tensor = (name: string): Value => tensors[name] as Value;
  for (const { name, shape } of architecture.finalNorm.tensors(config)) {
    tensors[name] = graph.input(name, "float32", shape);
  }
  const normed = architecture.finalNorm.build(tensor, hidden, config);
  const head = headName(base, overlay);
  const weight = (tensors[head] = graph.input(head, "float32", [config.vocabSize, config.width]));
  const bias = headBias === null ? null : graph.input(headBias, "float32", [config.vocabSize]);
  if (headBias !== null && bias) tensors[headBias] = bias;
  const spec = outerSites(architecture, config).find(({ kind }) => kind === "linear")!;
  const own: Record<string, Value> = {};
  let dropout: HeadGraph["dropout"] = null;
  const site: SiteGraph = {
    spec,
    weight,
    bias,
    project: (x) => linear(x, weight, bias),
    input: (suffix, shape, dtype) =>
      (own[`${spec.name}.${suffix}`] ??= graph.input(`${spec.name}.${suffix}`, dtype, shape)),
    dropout: (x, probability) => {
      if (!training || probability === 0) return x;
      const mask = graph.input("dropout", "float32", x.shape);
      dropout = { mask, probability };
      return mul(x, mask);
    },
    context: (name) => {
      throw new RangeError(`Cannot build the head with "${name}": it has no rows of a batch`);
    },
    keep: (_, value) => value,
    remember: (_, value) => value,
  };
  const logits = (overlay?.projector(null) ?? FROZEN)(site, normed);
  const isPlain = bias === null && Object.keys(own).length === 0;
  return {
    graph,
    hidden,
    tensors: { ...tensors, ...own },
    logits,
    dropout,
    // The plain product joins with the loss, so that it is computed once less.
    loss: (labels) => (isPlain ? linearCrossEntropy(normed, weight, labels) : crossEntropy(logits, labels)),
  };
}
