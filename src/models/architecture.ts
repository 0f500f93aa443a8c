/**
 * @file The contract of a model family: configuration, tensors of a checkpoint, and the graph of one block.
 *
 * A family is composition: what its blocks compute and what its checkpoint calls things. Training, evaluation, prefill
 * and decoding all build from this one definition. Adding one: a file and a line in `architectures.ts`.
 */
import type { Value } from "../graph/graph.ts";
import type { RopeConfig } from "../nn/rope-tables.ts";

/** Sizes and constants of one model, whatever its family. */
export interface ModelConfig {
  readonly modelType: string;
  readonly vocabSize: number;
  /** Model width D. */
  readonly width: number;
  /** Width F inside the feed-forward part. */
  readonly hiddenWidth: number;
  readonly numLayers: number;
  readonly numHeads: number;
  readonly numKeyValueHeads: number;
  readonly headWidth: number;
  readonly normEpsilon: number;
  readonly rope: RopeConfig;
  readonly maxPositions: number;
  /** The output head uses the embedding's matrix. */
  readonly tiedHead: boolean;
  readonly attentionBias: boolean;
  readonly mlpBias: boolean;
}

/** What a tensor is for: methods choose by it which to train. */
export type TensorRole = "embedding" | "head" | "norm" | "weight" | "bias";

/** One tensor of a checkpoint, by its Hugging Face name. */
export interface TensorSpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly role: TensorRole;
}

/** One place where adapters sit: a projection y = x Wᵀ + b, or an embedding, whose rows are looked up. */
export interface SiteSpec {
  /** Path inside the block, "self_attn.q_proj"; the whole path outside the blocks. */
  readonly name: string;
  readonly kind: "linear" | "embedding";
  /** Of an embedding: the number of its rows. */
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly bias: boolean;
}

/** What a block's definition builds with. */
export interface BlockBuilder {
  /** A tensor of the block by its path inside the block, "input_layernorm.weight". */
  tensor(name: string): Value;
  /** The projection of a site with whatever adapter sits there. */
  project(site: string, x: Value): Value;
  /** Attention of projected q [B, T, H·E], k and v [B, T, K·E], with positions, mask and cache. Gives [B, T, H·E]. */
  attend(q: Value, k: Value, v: Value): Value;
  /** Marks an activation that a backward program had better be given than compute again. */
  keep(name: string, value: Value): Value;
}

/** Names of the tensors outside the blocks. */
export interface OuterNames {
  /** [V, D] */
  readonly embedding: string;
  /** [D] */
  readonly finalNorm: string;
  /** [V, D]; absent from the checkpoint when tied. */
  readonly head: string;
  /** What precedes a path inside block `layer`, with its dot. */
  blockPrefix(layer: number): string;
}

/** A model family. */
export interface Architecture {
  /** `model_type` of its configuration files. */
  readonly modelType: string;
  readonly names: OuterNames;
  /** Reads a configuration. @throws UsageError "usage/model" for a value that is not implemented. */
  readConfig(raw: Readonly<Record<string, unknown>>): ModelConfig;
  /** Projections of a block, in the order of their use. */
  sites(config: ModelConfig): readonly SiteSpec[];
  /** Tensors of a block other than its projections, by their path inside the block. */
  norms(config: ModelConfig): readonly { readonly name: string; readonly width: number }[];
  /** x [B, T, D] to y [B, T, D]. */
  block(builder: BlockBuilder, x: Value, config: ModelConfig): Value;
}

/** Lists the sites outside the blocks: embedding and output head. */
export function outerSites({ names }: Architecture, config: ModelConfig): SiteSpec[] {
  const module = (tensor: string): string => tensor.replace(/\.weight$/, "");
  const { vocabSize, width } = config;
  return [
    {
      name: module(names.embedding),
      kind: "embedding",
      inFeatures: vocabSize,
      outFeatures: width,
      bias: false,
    },
    { name: module(names.head), kind: "linear", inFeatures: width, outFeatures: vocabSize, bias: false },
  ];
}

/** Lists the tensors of a block by their path inside the block. */
export function blockTensors(architecture: Architecture, config: ModelConfig): TensorSpec[] {
  const norms = architecture
    .norms(config)
    .map(({ name, width }): TensorSpec => ({ name, shape: [width], role: "norm" }));
  const projections = architecture
    .sites(config)
    .flatMap((site): TensorSpec[] => [
      { name: `${site.name}.weight`, shape: [site.outFeatures, site.inFeatures], role: "weight" },
      ...(site.bias ? [{ name: `${site.name}.bias`, shape: [site.outFeatures], role: "bias" } as const] : []),
    ]);
  return [...norms, ...projections];
}

/** Lists all tensors of a checkpoint. */
export function modelTensors(architecture: Architecture, config: ModelConfig): TensorSpec[] {
  const { names } = architecture;
  const matrix = [config.vocabSize, config.width];
  const inner = blockTensors(architecture, config);
  return [
    { name: names.embedding, shape: matrix, role: "embedding" },
    ...Array.from({ length: config.numLayers }, (_, layer) =>
      inner.map((spec) => ({ ...spec, name: names.blockPrefix(layer) + spec.name })),
    ).flat(),
    { name: names.finalNorm, shape: [config.width], role: "norm" },
    ...(config.tiedHead ? [] : [{ name: names.head, shape: matrix, role: "head" } as const]),
  ];
}
