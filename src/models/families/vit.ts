/**
 * @file Vision Transformer (ViT) for image classification.
 *
 *   x = [class; patches Wᵀ + b] + positions      x ← x + Wo attention(norm(x))      x ← x + W₂ gelu(W₁ norm(x))
 *
 * Paper: "An Image is Worth 16x16 Words", arXiv:2010.11929, eq. 1 to 4. Checkpoints of ViTForImageClassification.
 */
import { z } from "zod";
import type { Value } from "../../graph/graph.ts";
import { add } from "../../graph/ops/pointwise/elementwise.ts";
import { concat } from "../../graph/ops/shapes/concat.ts";
import { expandLike } from "../../graph/ops/shapes/reduce-expand.ts";
import { reshape } from "../../graph/ops/shapes/reshape.ts";
import { slice } from "../../graph/ops/shapes/slice-pad.ts";
import { transpose } from "../../graph/ops/shapes/transpose.ts";
import { dimAt } from "../../graph/shape.ts";
import type { Builder } from "../../nn/builder.ts";
import { linear } from "../../nn/linear.ts";
import { layerNorm } from "../../nn/norms.ts";
import { unrotatedAttention } from "../../nn/self-attention.ts";
import { attentionPart, plainMlpPart, preNormBlock, repeat } from "../blocks/decoder-blocks.ts";
import { BERT_NAMES } from "../blocks/encoder.ts";
import { type CheckpointRules, PLAIN_CHECKPOINT } from "../config/checkpoint-rules.ts";
import type { Family, ImageConfig } from "../family.ts";
import { HEADS_DIVIDE_WIDTH, parseConfig } from "../config/hf-config.ts";
import { plainNormalization } from "../config/image-processor.ts";
import { PROBLEM_TYPE, numClasses } from "../config/classifier-config.ts";

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
    encoder_stride: z.number().optional(),
    pooler_act: z.string().optional(),
    pooler_output_size: z.number().optional(),
  })
  .refine(...HEADS_DIVIDE_WIDTH)
  .refine((c) => c.image_size % c.patch_size === 0, {
    path: ["patch_size"],
    message: "expected a divisor of image_size",
  });

const PROJECTIONS = {
  prefix: "attention.",
  query: "attention.query",
  key: "attention.key",
  value: "attention.value",
  output: "output.dense",
};
const EMBEDDINGS = "vit.embeddings";
const PATCHES = `${EMBEDDINGS}.patch_embeddings.projection`;

const BLOCKS = "vit.encoder.layer.";
/** Names in graft, in files and in transformers 4, with those in the class of transformers 5, which peft uses. */
const CLASS_NAMES: readonly (readonly [string, string])[] = [
  [BLOCKS, "vit.layers."],
  [PROJECTIONS.query, "q_proj"],
  [PROJECTIONS.key, "k_proj"],
  [PROJECTIONS.value, "v_proj"],
  // Before the last entry, whose name this one contains.
  [`attention.${PROJECTIONS.output}`, "attention.o_proj"],
  [BERT_NAMES.mlp.up, "mlp.fc1"],
  [BERT_NAMES.mlp.down, "mlp.fc2"],
];

const CHECKPOINT: CheckpointRules = {
  ...PLAIN_CHECKPOINT,
  rename: (name) => CLASS_NAMES.reduce((path, [here, inClass]) => path.replace(inClass, here), name),
  peftPath: (path) => CLASS_NAMES.reduce((name, [here, inClass]) => name.replace(here, inClass), path),
};

/** Cuts pixels [B, C, H, W] into patches [B, N, C·P·P], row by row of the image. */
function cutPatches(pixels: Value, { channels: C, size, patchSize: P }: ImageConfig): Value {
  const B = dimAt(pixels.shape, 0);
  const side = size / P;
  const squares = transpose(reshape(pixels, [B, C, side, P, side, P]), [0, 2, 4, 1, 3, 5]);
  return reshape(squares, [B, side * side, C * P * P]);
}

/** Number of positions: those of all patches, and one before them. */
function numPositions({ size, patchSize }: ImageConfig): number {
  return (size / patchSize) ** 2 + 1;
}

function embed(b: Builder, pixels: Value, image: ImageConfig, width: number): Value {
  const { channels, patchSize } = image;
  const first = b.tensor(`${EMBEDDINGS}.cls_token`, [1, 1, width], "embedding");
  const positions = b.tensor(
    `${EMBEDDINGS}.position_embeddings`,
    [1, numPositions(image), width],
    "embedding",
  );
  const kernel = b.tensor(`${PATCHES}.weight`, [width, channels, patchSize, patchSize], "weight");
  const bias = b.tensor(`${PATCHES}.bias`, [width], "bias");
  const matrix = reshape(kernel, [width, channels * patchSize ** 2]);
  const patches = linear(cutPatches(pixels, image), matrix, bias); // [B, N, D]
  const classes = expandLike(first, slice(patches, 1, 0, 1)); // [B, 1, D]
  return add(concat([classes, patches], 1), positions);
}

export const vit: Family = {
  modelType: "vit",
  summary: "Vision Transformer (ViT) for image classification",
  traits:
    "An encoder over patches of an image, with learned positions and a position in front for the class. Images must have the size of the configuration. Adapters are saved under the names of the class in transformers 5.24 (`vit.layers.0.attention.q_proj`); those with the names of model files, as earlier versions write them, are read too.",
  gguf: "not-in-gguf",
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    const { hidden_size: width, num_attention_heads: numHeads } = c;
    const image = {
      channels: c.num_channels,
      size: c.image_size,
      patchSize: c.patch_size,
      normalization: plainNormalization(c.num_channels),
    };
    const numOutputs = numClasses(raw, [PROBLEM_TYPE.oneClass]);
    const norm = layerNorm(c.layer_norm_eps);
    const attention = {
      ...unrotatedAttention(width, numHeads),
      causal: false,
      bias: { qkv: c.qkv_bias, output: true },
    };
    const layer = preNormBlock(
      norm,
      attentionPart(attention, PROJECTIONS),
      plainMlpPart(BERT_NAMES.mlp, c, true),
      { attention: "layernorm_before", mlp: "layernorm_after" },
    );
    return {
      task: "image-classification",
      settings: c,
      width,
      numOutputs,
      vocabSize: null,
      image,
      maxPositions: numPositions(image),
      layers: repeat(layer, c),
      blockPrefix: (layer) => `${BLOCKS}${layer}.`,
      stem: (b, pixels) => embed(b, pixels, image, width),
      head: (b, x) =>
        b.linear("classifier", norm(b, "vit.layernorm", x), numOutputs, { role: "head", bias: true }),
      classPosition: "first",
      checkpoint: CHECKPOINT,
    };
  },
};
