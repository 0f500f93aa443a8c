/**
 * @file The Falcon H1 family: attention and a Mamba 2 state-space layer in parallel in each block, with factors on inputs and
 * outputs of parts.
 *
 *   x ← x + aₒ attention(aᵢ h) + sₒ mamba(sᵢ h), h = norm(x)      x ← x + m₁ W₂ (silu(m₀ Wg h) ∘ Wu h), h = norm(x)
 *
 * Report: "Falcon-H1", arXiv:2507.22448, sections 2.1 and 3.2.4.
 */
import { z } from "zod";
import type { Value } from "../../graph/graph.ts";
import { add } from "../../graph/ops/pointwise/elementwise.ts";
import { silu } from "../../graph/ops/pointwise/silu.ts";
import { gatedMlp } from "../../nn/gated-mlp.ts";
import { mamba2 } from "../../nn/mamba2.ts";
import { rmsNorm } from "../../nn/norms.ts";
import { scale } from "../../nn/scale.ts";
import { decoder, plainEnds } from "../blocks/decoder.ts";
import {
  type Transform,
  attentionPart,
  plainAttention,
  preNormBlock,
  repeat,
  siluMlp,
} from "../blocks/decoder-blocks.ts";
import { type PeftTakes, TAKES_ANY, mlxWithout } from "../config/checkpoint-rules.ts";
import { FALCON_H1_FIELDS, FALCON_H1_GGUF, FALCON_H1_NAMES } from "./falcon-h1/config.ts";
import type { Family } from "../family.ts";
import { parseConfig } from "../config/hf-config.ts";
import { mambaOptions } from "../config/mamba-config.ts";

const SCHEMA = z.object(FALCON_H1_FIELDS);
const OF_OTHERS = {
  // MLX multiplies some of the factors into matrices.
  mlx: mlxWithout(() => true),
  peftTakes: (path: string): PeftTakes => ({ ...TAKES_ANY, onModule: !path.endsWith(".out_proj") }),
};
const NORMS = { attention: "input_layernorm", mlp: "pre_ff_layernorm" };

export const falconH1: Family = {
  modelType: "falcon_h1",
  summary: "Falcon H1: 0.5B to 34B",
  traits:
    "Each block has attention and a state-space layer of Mamba 2 side by side, which read one norm, with factors of the configuration on what goes into parts and comes out of them. A text has a state of a fixed size beside its keys and values (see Qwen 3.5).",
  autoClasses: { "sequence-classification": null },
  gguf: FALCON_H1_GGUF,
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    const [gateFactor, downFactor] = c.mlp_multipliers;
    const attention = attentionPart({
      ...plainAttention(raw, c),
      keyNorm: (_b, _name, keys) => scale(keys, c.key_multiplier),
    });
    const { bias, ...options } = mambaOptions(raw, c);
    const mamba = {
      ...options,
      bias: { ...bias, output: c.projectors_bias },
      normed: c.mamba_rms_norm ? (c.mamba_norm_before_gate ? "before-gate" : "gated") : null,
      factors: c.ssm_multipliers,
    } as const;
    const mixers: Transform = (b, x) =>
      add(
        // Attention comes first, since it has the cache.
        scale(attention(b, scale(x, c.attention_in_multiplier)), c.attention_out_multiplier),
        scale(mamba2(b, scale(x, c.ssm_in_multiplier), "mamba.", mamba), c.ssm_out_multiplier),
      );
    const mlp = { ...siluMlp(c), activation: (gate: Value): Value => silu(scale(gate, gateFactor)) };
    const feedForward: Transform = (b, x) => scale(gatedMlp(b, x, "feed_forward.", mlp), downFactor);
    const norm = rmsNorm(c.rms_norm_eps);
    const layer = preNormBlock(norm, mixers, feedForward, NORMS);
    const ends = plainEnds(norm, FALCON_H1_NAMES);
    return decoder(raw, c, repeat(layer, c), {
      ...ends,
      checkpoint: { ...ends.checkpoint, ...OF_OTHERS },
      scaleEmbedding: (x) => scale(x, c.embedding_multiplier),
      capLogits: (logits) => scale(logits, c.lm_head_multiplier),
    });
  },
};
