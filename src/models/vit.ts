/**
 * @file Vision Transformer for classification: patches of an image as positions, one more in front for its class.
 *
 *   x = [class; patches Wᵀ + b] + positions      x ← x + Wo attention(norm(x))      x ← x + W₂ gelu(W₁ norm(x))
 *
 * Paper: "An Image is Worth 16x16 Words", arXiv:2010.11929, eq. 1 to 4. Checkpoints of ViTForImageClassification.
 */
import { z } from "zod";
import type { Value } from "../graph/graph.ts";
import { add } from "../graph/ops/add.ts";
import { concat } from "../graph/ops/concat.ts";
import { expandLike } from "../graph/ops/expand-like.ts";
import { gelu } from "../graph/ops/gelu.ts";
import { layerNorm } from "../graph/ops/layer-norm.ts";
import { reshape } from "../graph/ops/reshape.ts";
import { slice } from "../graph/ops/slice.ts";
import { transpose } from "../graph/ops/transpose.ts";
import { linear } from "../nn/linear.ts";
import type { Dim } from "../graph/shape.ts";
import type { Architecture, ImageConfig, ModelConfig, SiteSpec } from "./architecture.ts";
import { parseConfig } from "./hf-config.ts";

const SCHEMA = z
  .object({
    hidden_size: z.int().positive(),
    intermediate_size: z.int().positive(),
    num_hidden_layers: z.int().positive(),
    num_attention_heads: z.int().positive(),
    hidden_act: z.literal("gelu").default("gelu"),
    layer_norm_eps: z.number().positive().default(1e-12),
    image_size: z.int().positive().default(224),
    patch_size: z.int().positive().default(16),
    num_channels: z.int().positive().default(3),
    qkv_bias: z.boolean().default(true),
    id2label: z.record(z.string(), z.unknown()).default({ 0: "LABEL_0", 1: "LABEL_1" }),
  })
  .refine((c) => c.hidden_size % c.num_attention_heads === 0, {
    path: ["num_attention_heads"],
    message: "expected a divisor of hidden_size",
  })
  .refine((c) => c.image_size % c.patch_size === 0, {
    path: ["patch_size"],
    message: "expected a divisor of image_size",
  });

const EMBEDDINGS = "vit.embeddings";
const CLASS = `${EMBEDDINGS}.cls_token`;
const POSITIONS = `${EMBEDDINGS}.position_embeddings`;
const PATCHES = `${EMBEDDINGS}.patch_embeddings.projection`;
const FINAL_NORM = "vit.layernorm";

/** Cuts pixels [B, C, H, W] into patches [B, N, C·P·P], row by row of the image. */
function cutPatches(pixels: Value, { channels: C, size, patchSize: P }: ImageConfig): Value {
  const [B] = pixels.shape as [Dim];
  const side = size / P;
  const squares = transpose(reshape(pixels, [B, C, side, P, side, P]), [0, 2, 4, 1, 3, 5]);
  return reshape(squares, [B, side * side, C * P * P]);
}

function embed(tensor: (name: string) => Value, pixels: Value, { image, width }: ModelConfig): Value {
  if (!image) throw new RangeError("Cannot embed images: the configuration says nothing of their size");
  const kernel = tensor(`${PATCHES}.weight`);
  const matrix = reshape(kernel, [width, image.channels * image.patchSize ** 2]);
  const patches = linear(cutPatches(pixels, image), matrix, tensor(`${PATCHES}.bias`)); // [B, N, D]
  const first = expandLike(tensor(CLASS), slice(patches, 1, 0, 1)); // [B, 1, D]
  return add(concat([first, patches], 1), tensor(POSITIONS));
}

const norm = (x: Value, tensor: (name: string) => Value, name: string, { normEpsilon }: ModelConfig): Value =>
  layerNorm(x, tensor(`${name}.weight`), tensor(`${name}.bias`), normEpsilon);

export const vit: Architecture = {
  modelType: "vit",
  names: {
    head: "classifier.weight",
    headBias: "classifier.bias",
    blockPrefix: (layer) => `vit.encoder.layer.${layer}.`,
  },

  stem: {
    reads: "images",
    tensors: ({ width, image, maxPositions }) => {
      const { channels, patchSize } = image as ImageConfig;
      return [
        { name: CLASS, shape: [1, 1, width], role: "embedding" },
        { name: POSITIONS, shape: [1, maxPositions, width], role: "embedding" },
        { name: `${PATCHES}.weight`, shape: [width, channels, patchSize, patchSize], role: "weight" },
        { name: `${PATCHES}.bias`, shape: [width], role: "bias" },
      ];
    },
    build: embed,
  },

  finalNorm: {
    tensors: ({ width }) => [
      { name: `${FINAL_NORM}.weight`, shape: [width], role: "norm" },
      { name: `${FINAL_NORM}.bias`, shape: [width], role: "bias" },
    ],
    build: (tensor, x, config) => norm(x, tensor, FINAL_NORM, config),
  },

  readConfig: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    return {
      modelType: "vit",
      vocabSize: Object.keys(c.id2label).length,
      width: c.hidden_size,
      hiddenWidth: c.intermediate_size,
      numLayers: c.num_hidden_layers,
      numHeads: c.num_attention_heads,
      numKeyValueHeads: c.num_attention_heads,
      headWidth: c.hidden_size / c.num_attention_heads,
      normEpsilon: c.layer_norm_eps,
      rope: null,
      causal: false,
      maxPositions: (c.image_size / c.patch_size) ** 2 + 1,
      image: { channels: c.num_channels, size: c.image_size, patchSize: c.patch_size },
      tiedHead: false,
      attentionBias: c.qkv_bias,
      mlpBias: true,
    };
  },

  sites: ({ width, hiddenWidth, attentionBias }) => {
    const site = (name: string, inFeatures: number, outFeatures: number, bias = true): SiteSpec => ({
      name,
      kind: "linear",
      inFeatures,
      outFeatures,
      bias,
    });
    return [
      site("attention.attention.query", width, width, attentionBias),
      site("attention.attention.key", width, width, attentionBias),
      site("attention.attention.value", width, width, attentionBias),
      site("attention.output.dense", width, width),
      site("intermediate.dense", width, hiddenWidth),
      site("output.dense", hiddenWidth, width),
    ];
  },

  norms: ({ width }) =>
    ["layernorm_before", "layernorm_after"].flatMap((name) => [
      { name: `${name}.weight`, width },
      { name: `${name}.bias`, width },
    ]),

  block: (b, x, config) => {
    const tensor = (name: string): Value => b.tensor(name);
    const h = norm(x, tensor, "layernorm_before", config); // [B, T, D]
    const attended = b.attend(
      b.project("attention.attention.query", h),
      b.project("attention.attention.key", h),
      b.project("attention.attention.value", h),
    );
    const middle = b.keep(
      "middle",
      add(x, b.project("attention.output.dense", b.keep("attended", attended))),
    );
    const m = norm(middle, tensor, "layernorm_after", config);
    const inner = b.keep("inner", b.project("intermediate.dense", m)); // [B, T, F]
    return add(middle, b.project("output.dense", gelu(inner)));
  },
};
