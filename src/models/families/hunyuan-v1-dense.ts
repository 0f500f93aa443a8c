/**
 * @file The HunYuan family without experts: Llama's blocks with a norm on each head of queries and keys after rotation; a fixed
 * factor α stretches the base b of the rotation:  b αᴱᐟ⁽ᴱ⁻²⁾.
 *
 * Report: "Hunyuan-A13B Technical Report", Tencent, 2025.
 */
import { z } from "zod";
import { rmsNorm } from "../../nn/norms.ts";
import { plainDecoder } from "../blocks/decoder.ts";
import { attentionPart, mlpPart, preNormBlock, repeat, siluMlp } from "../blocks/decoder-blocks.ts";
import { qwen3Attention } from "../blocks/qwen3-attention.ts";
import type { Family } from "../family.ts";
import { decoderGguf } from "../config/decoder-gguf.ts";
import { DECODER_FIELDS, parseConfig } from "../config/hf-config.ts";

const ROPE = z.looseObject({ alpha: z.number().positive().nullish() }).nullish();
const id = z.int().nullish();
const SCHEMA = z.object({
  ...DECODER_FIELDS,
  rms_norm_eps: z.number().positive().default(1e-5),
  attention_bias: z.boolean().default(false),
  rope_scaling: ROPE,
  rope_parameters: ROPE,
  // Settings of the code that trained the models, the same for all of them; transformers ignores these.
  add_classification_head: z.literal(false).nullish(),
  mlp_bias: z.literal(false).default(false),
  norm_type: z.literal("rms").nullish(),
  use_cla: z.literal(false).nullish(),
  use_qk_norm: z.literal(true).nullish(),
  ...Object.fromEntries(
    `attention_head_dim cla_share_factor class_num eod_token_id im_end_id im_newline_id im_start_id mask_init_id org_vocab_size pad_id
    text_end_id text_start_id`
      .split(/\s+/)
      .map((key) => [key, id]),
  ),
  pool_type: z.string().nullish(),
});

const NORMS = { queryNorm: "query_layernorm", keyNorm: "key_layernorm" };

export const hunyuanV1Dense: Family = {
  modelType: "hunyuan_v1_dense",
  summary: "Hunyuan without experts: 0.5B to 7B",
  traits: "Llama's blocks with a norm on each head of queries and keys, behind their rotation.",
  gguf: decoderGguf({
    architecture: "hunyuan-dense",
    className: "HunYuanDenseV1ForCausalLM",
    blockNames: {
      headNorms: { attn_q_norm: `self_attn.${NORMS.queryNorm}`, attn_k_norm: `self_attn.${NORMS.keyNorm}` },
    },
  }),
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    const given = c.rope_scaling ?? c.rope_parameters ?? {};
    const { alpha, ...others } = given;
    // With another kind of scaling, the factor is refused as unknown.
    const isStretched = alpha != null && (given["rope_type"] ?? given["type"]) === "dynamic";
    const plain = qwen3Attention({ ...raw, rope_scaling: isStretched ? others : given }, c);
    const { headWidth: E, rope } = plain;
    const theta = rope!.theta * (isStretched ? alpha ** (E / (E - 2)) : 1);
    const attention = attentionPart({ ...plain, rope: { ...rope!, theta }, comesRotated: true }, NORMS);
    const layer = preNormBlock(rmsNorm(c.rms_norm_eps), attention, mlpPart(siluMlp(c)));
    return plainDecoder(raw, c, repeat(layer, c));
  },
};
