/**
 * @file Granite 4 where all layers are of attention, and none has experts: Granite's blocks with one projection for gate and up.
 *
 * Its kin with state-space layers or experts have the same `model_type`, and are refused by what their configuration says.
 */
import { z } from "zod";
import { fusedMlp } from "../../nn/gated-mlp.ts";
import { plainAttention, siluMlp } from "../blocks/decoder-blocks.ts";
import { GRANITE_FIELDS, graniteDecoder } from "../blocks/granite.ts";
import type { Family } from "../family.ts";
import { parseConfig } from "../config/hf-config.ts";

const UNUSED = z.unknown().optional();
const SCHEMA = z.object({
  ...GRANITE_FIELDS,
  attention_bias: z.boolean().default(false),
  shared_intermediate_size: z.int().positive().default(1024),
  layer_types: z.array(z.enum(["attention", "full_attention"])),
  num_local_experts: z.literal(0),
  /** Without one nothing is rotated. */
  position_embedding_type: z.enum(["rope", "nope"]).nullish(),
  // Of experts and state-space layers, which there are not, and of how weights began.
  num_experts_per_tok: UNUSED,
  mamba_n_heads: UNUSED,
  mamba_n_groups: UNUSED,
  mamba_d_state: UNUSED,
  mamba_d_head: UNUSED,
  mamba_d_conv: UNUSED,
  mamba_expand: UNUSED,
  mamba_chunk_size: UNUSED,
  mamba_conv_bias: UNUSED,
  mamba_proj_bias: UNUSED,
  time_step_limit: UNUSED,
  init_method: UNUSED,
  normalization_function: z.literal("rmsnorm").nullish(),
});

const MLP = { gateUp: "shared_mlp.input_linear", down: "shared_mlp.output_linear" };

export const granitemoehybrid: Family = {
  modelType: "granitemoehybrid",
  summary: "Granite 4 without state-space layers and experts: 350M and 1B",
  traits: "Granite's blocks with one projection for gate and up. GGUF files of it are Granite's.",
  gguf: "not-in-gguf",
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    const { rope, ...attention } = plainAttention(raw, c);
    const mlp = { ...siluMlp(c), intermediateSize: c.shared_intermediate_size };
    return graniteDecoder(
      raw,
      c,
      { ...attention, rope: c.position_embedding_type === "rope" ? rope : null },
      (b, x) => fusedMlp(b, x, MLP, mlp),
    );
  },
};
