/**
 * @file Vision Transformer for classification: patches of an image as positions, one more in front for its class.
 *
 *   x = [class; patches Wᵀ + b] + positions      x ← x + Wo attention(norm(x))      x ← x + W₂ gelu(W₁ norm(x))
 *
 * Paper: "An Image is Worth 16x16 Words", arXiv:2010.11929, eq. 1 to 4. Checkpoints of ViTForImageClassification.
 */
import { z } from "zod";
import type { Value } from "../graph/graph.ts";
import { add } from "../graph/ops/elementwise.ts";
import { concat } from "../graph/ops/concat.ts";
import { expandLike } from "../graph/ops/reduce-expand.ts";
import { gelu } from "../graph/ops/gelu.ts";
import { reshape } from "../graph/ops/reshape.ts";
import { slice } from "../graph/ops/slice-pad.ts";
import { transpose } from "../graph/ops/transpose.ts";
import type { Dim } from "../graph/shape.ts";
import type { Builder } from "../nn/builder.ts";
import { linear } from "../nn/linear.ts";
import { layerNorm } from "../nn/norms.ts";
import { unrotatedAttention } from "../nn/self-attention.ts";
import { type Family, type ImageConfig, type Layer, PLAIN_CHECKPOINT } from "./family.ts";
import { numClasses, parseConfig } from "./hf-config.ts";

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
  .refine((c) => c.hidden_size % c.num_attention_heads === 0, {
    path: ["num_attention_heads"],
    message: "expected a divisor of hidden_size",
  })
  .refine((c) => c.image_size % c.patch_size === 0, {
    path: ["patch_size"],
    message: "expected a divisor of image_size",
  });

const EMBEDDINGS = "vit.embeddings";
const PATCHES = `${EMBEDDINGS}.patch_embeddings.projection`;

/** Cuts pixels [B, C, H, W] into patches [B, N, C·P·P], row by row of the image. */
function cutPatches(pixels: Value, { channels: C, size, patchSize: P }: ImageConfig): Value {
  const [B] = pixels.shape as [Dim];
  const side = size / P;
  const squares = transpose(reshape(pixels, [B, C, side, P, side, P]), [0, 2, 4, 1, 3, 5]);
  return reshape(squares, [B, side * side, C * P * P]);
}

function embed(b: Builder, pixels: Value, image: ImageConfig, width: number, maxPositions: number): Value {
  const { channels, patchSize } = image;
  const first = b.tensor(`${EMBEDDINGS}.cls_token`, [1, 1, width], "embedding");
  const positions = b.tensor(`${EMBEDDINGS}.position_embeddings`, [1, maxPositions, width], "embedding");
  const kernel = b.tensor(`${PATCHES}.weight`, [width, channels, patchSize, patchSize], "weight");
  const bias = b.tensor(`${PATCHES}.bias`, [width], "bias");
  const matrix = reshape(kernel, [width, channels * patchSize ** 2]);
  const patches = linear(cutPatches(pixels, image), matrix, bias); // [B, N, D]
  const classes = expandLike(first, slice(patches, 1, 0, 1)); // [B, 1, D]
  return add(concat([classes, patches], 1), positions);
}

export const vit: Family = {
  modelType: "vit",
  summary:
    "Vision Transformer for classification: patches of an image as positions, one more in front for its class",
  traits:
    "An encoder over patches of an image, with learned positions and a position in front for the class. Images must have the size of the configuration.",
  gguf: "not-in-gguf",
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    const { hidden_size: width, num_attention_heads: numHeads } = c;
    const image = { channels: c.num_channels, size: c.image_size, patchSize: c.patch_size };
    const maxPositions = (c.image_size / c.patch_size) ** 2 + 1;
    const numOutputs = numClasses(raw);
    const norm = layerNorm(c.layer_norm_eps);
    const attention = unrotatedAttention(width, numHeads, false);
    const attend = (b: Builder, x: Value): Value => {
      const [q, k, v] = (["query", "key", "value"] as const).map((role) =>
        b.linear(`attention.attention.${role}`, x, width, { role, bias: c.qkv_bias }),
      ) as [Value, Value, Value];
      const attended = b.attend(q, k, v, attention);
      return b.linear("attention.output.dense", attended, width, { role: "attention-output", bias: true });
    };
    const layer: Layer = {
      build: (b, x) => {
        const middle = b.branch("attention", x, (x) => attend(b, norm(b, "layernorm_before", x)));
        return b.branch("mlp", middle, (x) => {
          const m = norm(b, "layernorm_after", x);
          const inner = b.linear("intermediate.dense", m, c.intermediate_size, { role: "up", bias: true }); // [B, T, F]
          return b.linear("output.dense", gelu(inner), width, { role: "down", bias: true });
        });
      },
    };
    return {
      task: "image-classification",
      width,
      numOutputs,
      vocabSize: null,
      image,
      maxPositions,
      layers: Array.from({ length: c.num_hidden_layers }, () => layer),
      blockPrefix: (layer) => `vit.encoder.layer.${layer}.`,
      stem: (b, pixels) => embed(b, pixels, image, width, maxPositions),
      head: (b, x) =>
        b.linear("classifier", norm(b, "vit.layernorm", x), numOutputs, { role: "head", bias: true }),
      classPosition: "first",
      checkpoint: PLAIN_CHECKPOINT,
    };
  },
};
