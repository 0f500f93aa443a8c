/**
 * @file Granite 4 without experts: Granite's blocks with one projection for gate and up, and state-space layers of Mamba 2 in the
 * place of attention in all or some of them, or in none.
 *
 * Its kin with experts have the same `model_type`, and are refused by what their configuration says.
 */
import { z } from "zod";
import { fusedMlp } from "../../nn/gated-mlp.ts";
import { mamba2 } from "../../nn/mamba2.ts";
import { type Transform, plainAttention, siluMlp } from "../blocks/decoder-blocks.ts";
import { GRANITE_FIELDS, graniteAttention, graniteBlock, graniteDecoder } from "../blocks/granite.ts";
import type { Family, Layer } from "../family.ts";
import { GRANITE_HYBRID_GGUF, isStateSpace } from "../config/granite-gguf.ts";
import { parseConfig } from "../config/hf-config.ts";
import { requireTypesOfAll } from "../config/layer-types.ts";
import { MAMBA_FIELDS, mambaOptions } from "../config/mamba-config.ts";

const UNUSED = z.unknown().optional();

const SCHEMA = z.object({
  ...GRANITE_FIELDS,
  attention_bias: z.boolean().default(false),
  shared_intermediate_size: z.int().positive().default(1024),
  layer_types: z.array(z.enum(["attention", "full_attention", "mamba", "linear_attention"])),
  num_local_experts: z.literal(0),
  /** Without one nothing is rotated. */
  position_embedding_type: z.enum(["rope", "nope"]).nullish(),
  ...MAMBA_FIELDS,
  // Of experts, and of how weights began.
  num_experts_per_tok: UNUSED,
  init_method: UNUSED,
  normalization_function: z.literal("rmsnorm").nullish(),
});

const MLP = { gateUp: "shared_mlp.input_linear", down: "shared_mlp.output_linear" };

const MLX = {
  taps: /\.conv1d\.weight$/,
  plusOne: null,
  split: { first: "mlp.gate_proj", second: "mlp.up_proj", whole: MLP.gateUp },
  pathOf: (path: string): string | null =>
    path.endsWith(MLP.gateUp) ? null : path.replace(MLP.down, "mlp.down_proj"),
};

export const granitemoehybrid: Family = {
  modelType: "granitemoehybrid",
  summary: "Granite 4 without experts: 350M and 1B, with state-space layers or without, and H-Micro",
  traits:
    "Granite's blocks with one projection for gate and up. In the H models most have a state-space layer of Mamba 2 in the place of attention, with one state of a fixed size (see Qwen 3.5). GGUF files of those without are read as Granite's.",
  gguf: GRANITE_HYBRID_GGUF,
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    requireTypesOfAll(raw, c);
    const { rope, ...others } = plainAttention(raw, c);
    const attention = { ...others, rope: c.position_embedding_type === "rope" ? rope : null };
    const mlp = { ...siluMlp(c), intermediateSize: c.shared_intermediate_size };
    const block = (mixer: Transform): Layer => graniteBlock(c, mixer, (b, x) => fusedMlp(b, x, MLP, mlp));
    const attending = block(graniteAttention(c, attention));
    const options = c.layer_types.some(isStateSpace) ? mambaOptions(raw, c) : null;
    const remembering = options && block((b, x) => mamba2(b, x, "mamba.", options));
    const layers = c.layer_types.map((type) => (remembering && isStateSpace(type) ? remembering : attending));
    const definition = graniteDecoder(raw, c, layers);
    const { checkpoint } = definition;
    const rename = (name: string): string =>
      checkpoint.rename(name).replace(".mlp.down_proj.", `.${MLP.down}.`);
    return { ...definition, checkpoint: { ...checkpoint, rename, mlx: MLX } };
  },
};
