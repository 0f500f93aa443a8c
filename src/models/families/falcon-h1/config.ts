/** @file Configuration files and GGUF files of Falcon H1. */
import { z } from "zod";
import { BLOCK_NAMES, decoderGguf } from "../../config/decoder-gguf.ts";
import { DECODER_NAMES } from "../../config/decoder-names.ts";
import type { RowFactors } from "../../config/gguf-rules.ts";
import { BIAS_FIELDS, DECODER_FIELDS } from "../../config/hf-config.ts";
import { MAMBA_FIELDS } from "../../config/mamba-config.ts";
import { MAMBA } from "../../config/mamba-gguf.ts";

const size = z.int().positive();
const factor = z.number().default(1);
const UNUSED = z.unknown().optional();

export const FALCON_H1_FIELDS = {
  ...DECODER_FIELDS,
  ...BIAS_FIELDS,
  ...MAMBA_FIELDS,
  num_key_value_heads: size.nullable().default(8),
  rms_norm_eps: z.number().positive().default(1e-5),
  max_position_embeddings: size.default(8192),
  mamba_d_ssm: size.nullable().default(1024),
  mamba_n_groups: size.nullable().default(1),
  mamba_rms_norm: z.boolean().default(false),
  mamba_norm_before_gate: z.boolean().default(true),
  /** For the projection of a state-space layer's output. */
  projectors_bias: z.boolean().default(false),
  attention_in_multiplier: factor,
  attention_out_multiplier: factor,
  key_multiplier: factor,
  ssm_in_multiplier: factor,
  ssm_out_multiplier: factor,
  embedding_multiplier: factor,
  lm_head_multiplier: factor,
  /** For the gate and the output. */
  mlp_multipliers: z
    .tuple([z.number(), z.number()])
    .nullish()
    .transform((given) => given ?? ([1, 1] as const)),
  /** For the projected z, x, B, C and step. */
  ssm_multipliers: z
    .tuple([z.number(), z.number(), z.number(), z.number(), z.number()])
    .nullish()
    .transform((given) => given ?? ([1, 1, 1, 1, 1] as const)),
  mamba_use_mlp: z.literal(true).nullish(),
  // Settings of code older than that of transformers, and of the initialization of weights.
  mlp_expansion_factor: UNUSED,
  num_logits_to_keep: UNUSED,
  time_step_floor: UNUSED,
  time_step_max: UNUSED,
  time_step_min: UNUSED,
};

/** Modules outside its blocks. */
export const FALCON_H1_NAMES = { ...DECODER_NAMES, finalNorm: "model.final_layernorm" };

type FalconH1Fields = z.output<z.ZodObject<typeof FALCON_H1_FIELDS>>;

/** Width of all heads of a state-space layer together. */
const innerWidth = (c: FalconH1Fields): number => c.mamba_d_ssm ?? c.mamba_expand * c.hidden_size;

/** Factors that a converter multiplies into rows. */
function rowFactors(c: FalconH1Fields, hasHead: boolean): Readonly<Record<string, RowFactors>> {
  const all = (factor: number): RowFactors => [{ numRows: null, factor }];
  const [gate, output] = c.mlp_multipliers;
  const groups = (c.mamba_n_groups ?? 1) * c.mamba_d_state;
  const widths = [innerWidth(c), innerWidth(c), groups, groups, null];
  return {
    token_embd: all(c.embedding_multiplier),
    ...(hasHead && { output: all(c.lm_head_multiplier) }),
    attn_q: all(c.attention_in_multiplier),
    attn_k: all(c.attention_in_multiplier * c.key_multiplier),
    attn_v: all(c.attention_in_multiplier),
    attn_output: all(c.attention_out_multiplier),
    ssm_in: c.ssm_multipliers.map((factor, part) => ({
      numRows: widths[part]!,
      factor: c.ssm_in_multiplier * factor,
    })),
    ssm_out: all(c.ssm_out_multiplier),
    ffn_gate: all(gate),
    ffn_down: all(output),
  };
}

/** Readers of such files only have biases in feed-forward parts and convolutions, and norms after the gate. */
export const FALCON_H1_GGUF = decoderGguf({
  architecture: "falcon-h1",
  className: "FalconH1ForCausalLM",
  names: FALCON_H1_NAMES,
  blockNames: {
    preNorms: { attn_norm: "input_layernorm" },
    mlp: Object.fromEntries(
      Object.entries(BLOCK_NAMES.mlp).map(([name, path]) => [name, path.replace("mlp.", "feed_forward.")]),
    ),
    stateSpace: MAMBA.names,
  },
  tensorsInBlock: { ffn_norm: "pre_ff_layernorm.weight", ...MAMBA.tensors },
  changes: MAMBA.changes,
  settings: MAMBA.settings("mamba_d_ssm"),
  fixed: {
    attention_bias: false,
    mamba_proj_bias: false,
    projectors_bias: false,
    mamba_norm_before_gate: false,
  },
  switches: {
    mamba_conv_bias: "ssm_conv1d.bias",
    mlp_bias: "ffn_up.bias",
    mamba_rms_norm: "ssm_norm.weight",
  },
  numGroups: ({ mamba_n_groups: groups }) => Number(groups ?? 1),
  folding: (settings, hasHead) => {
    const c = settings as FalconH1Fields;
    const one = Object.keys(FALCON_H1_FIELDS).filter((key) => key.endsWith("_multiplier"));
    return {
      factors: rowFactors(c, hasHead),
      rest: {
        ...Object.fromEntries(one.map((key) => [key, 1])),
        mlp_multipliers: null,
        ssm_multipliers: null,
        // If the embedding is also the matrix of logits, it holds only one of the two factors.
        ...(hasHead ? {} : { lm_head_multiplier: c.lm_head_multiplier / c.embedding_multiplier }),
      },
    };
  },
  values: (settings) => {
    const c = settings as FalconH1Fields;
    return { mamba_d_ssm: innerWidth(c), mamba_n_groups: c.mamba_n_groups ?? 1 };
  },
});
