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
  /** Rows V of the output head: tokens of the vocabulary, or classes. */
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
  /** Null: positions are no matter of attention. */
  readonly rope: RopeConfig | null;
  /** A position sees none after it. */
  readonly causal: boolean;
  readonly maxPositions: number;
  /** What images must be like; null: the model reads tokens. */
  readonly image: ImageConfig | null;
  /** The output head uses the embedding's matrix. */
  readonly tiedHead: boolean;
  readonly attentionBias: boolean;
  readonly mlpBias: boolean;
}

/** Sizes of the images that a model reads, in pixels. */
export interface ImageConfig {
  readonly channels: number;
  /** Height and width. */
  readonly size: number;
  /** Height and width of the squares that become one position each. */
  readonly patchSize: number;
}

/** What a tensor is for: methods choose by it which to train. */
export type TensorRole = "embedding" | "head" | "norm" | "weight" | "bias";

/** One tensor of a checkpoint, by its Hugging Face name. */
export interface TensorSpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly role: TensorRole;
}

/**
 * One place where adapters sit: a projection y = x Wᵀ + b, an embedding, whose rows are looked up, or the residual stream
 * after a block, which has no weight.
 */
export interface SiteSpec {
  /** Path inside the block, "self_attn.q_proj"; the whole path outside the blocks. */
  readonly name: string;
  readonly kind: "linear" | "embedding" | "residual";
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

/** A part of a model outside its blocks: tensors, and what is computed with them. */
export interface OuterPart {
  /** By their full names. */
  tensors(config: ModelConfig): readonly TensorSpec[];
  /** `tensor` gives a tensor of the part by its full name. */
  build(tensor: (name: string) => Value, input: Value, config: ModelConfig): Value;
}

/** What a model reads, and what becomes of it before the first block: x [B, T, D]. */
export type Stem =
  /** Ids [B, T], each looked up in a table [V, D]. */
  | { readonly reads: "tokens"; readonly embedding: string }
  /** Pixels [B, C, H, W]; the first position, a token of the whole image, predicts its class. */
  | ({ readonly reads: "images" } & OuterPart);

/** Names of the tensors outside the blocks. */
export interface OuterNames {
  /** [V, D]; absent from the checkpoint when tied to the embedding. */
  readonly head: string;
  /** [V]; null: the head has none. */
  readonly headBias: string | null;
  /** What precedes a path inside block `layer`, with its dot. */
  blockPrefix(layer: number): string;
}

/** A model family. */
export interface Architecture {
  /** `model_type` of its configuration files. */
  readonly modelType: string;
  readonly names: OuterNames;
  readonly stem: Stem;
  /** From the last block's output [..., D] to what the head reads. */
  readonly finalNorm: OuterPart;
  /** Reads a configuration. @throws UsageError "usage/model" for a value that is not implemented. */
  readConfig(raw: Readonly<Record<string, unknown>>): ModelConfig;
  /** Projections of a block, in the order of their use. */
  sites(config: ModelConfig): readonly SiteSpec[];
  /** Tensors of a block other than its projections, by their path inside the block. */
  norms(config: ModelConfig): readonly { readonly name: string; readonly width: number }[];
  /** x [B, T, D] to y [B, T, D]. */
  block(builder: BlockBuilder, x: Value, config: ModelConfig): Value;
}

/** The residual stream after a block, as a place inside the block. */
export function residualSite({ width }: ModelConfig): SiteSpec {
  return { name: "residual", kind: "residual", inFeatures: width, outFeatures: width, bias: false };
}

/** The name of the matrix of the output head: that of the embedding when tied. */
export function headTensor({ names, stem }: Architecture, config: ModelConfig): string {
  return config.tiedHead && stem.reads === "tokens" ? stem.embedding : names.head;
}

/** Lists the sites outside the blocks: embedding and output head. */
export function outerSites({ names, stem }: Architecture, config: ModelConfig): SiteSpec[] {
  const module = (tensor: string): string => tensor.replace(/\.weight$/, "");
  const { vocabSize, width } = config;
  const head: SiteSpec = {
    name: module(names.head),
    kind: "linear",
    inFeatures: width,
    outFeatures: vocabSize,
    bias: names.headBias !== null,
  };
  if (stem.reads !== "tokens") return [head];
  return [
    {
      name: module(stem.embedding),
      kind: "embedding",
      inFeatures: vocabSize,
      outFeatures: width,
      bias: false,
    },
    head,
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

/** Lists the tensors of a stem. */
function stemTensors({ stem }: Architecture, config: ModelConfig): readonly TensorSpec[] {
  if (stem.reads !== "tokens") return stem.tensors(config);
  return [{ name: stem.embedding, shape: [config.vocabSize, config.width], role: "embedding" }];
}

/** Lists the tensors outside the blocks: those before them, and those after. */
export function outerTensors(
  architecture: Architecture,
  config: ModelConfig,
): { readonly before: readonly TensorSpec[]; readonly after: readonly TensorSpec[] } {
  const { names, finalNorm } = architecture;
  const before = stemTensors(architecture, config);
  const head = headTensor(architecture, config);
  const after: TensorSpec[] = [...finalNorm.tensors(config)];
  if (before.every(({ name }) => name !== head)) {
    after.push({ name: head, shape: [config.vocabSize, config.width], role: "head" });
  }
  if (names.headBias !== null) after.push({ name: names.headBias, shape: [config.vocabSize], role: "bias" });
  return { before, after };
}

/** Lists all tensors of a checkpoint. */
export function modelTensors(architecture: Architecture, config: ModelConfig): TensorSpec[] {
  const inner = blockTensors(architecture, config);
  const { before, after } = outerTensors(architecture, config);
  const blocks = Array.from({ length: config.numLayers }, (_, layer) =>
    inner.map((spec) => ({ ...spec, name: architecture.names.blockPrefix(layer) + spec.name })),
  );
  return [...before, ...blocks.flat(), ...after];
}
