/**
 * @file Granite 4: Granite's blocks with one projection for gate and up; some models have Mamba 2 state-space layers or experts.
 */
import { z } from "zod";
import { add } from "../../graph/ops/pointwise/elementwise.ts";
import { fusedMlp } from "../../nn/gated-mlp.ts";
import { mamba2 } from "../../nn/mamba2.ts";
import { type Transform, plainAttention, siluMlp } from "../blocks/decoder-blocks.ts";
import {
  GRANITE_EXPERTS,
  GRANITE_FIELDS,
  graniteAttention,
  graniteBlock,
  graniteDecoder,
  graniteExperts,
  withStackedExperts,
} from "../blocks/granite.ts";
import type { Family, Layer } from "../family.ts";
import { GRANITE_HYBRID_GGUF, isStateSpace } from "../config/granite-gguf.ts";
import { parseConfig } from "../config/hf-config.ts";
import { requireTypesOfAll } from "../config/layer-types.ts";
import { MAMBA_FIELDS, mambaOptions } from "../config/mamba-config.ts";

const SCHEMA = z.object({
  ...GRANITE_FIELDS,
  attention_bias: z.boolean().default(false),
  shared_intermediate_size: z.int().positive().default(1024),
  layer_types: z.array(z.enum(["attention", "full_attention", "mamba", "linear_attention"])),
  ...GRANITE_EXPERTS.fields,
  /** If absent, nothing is rotated. */
  position_embedding_type: z.enum(["rope", "nope"]).nullish(),
  ...MAMBA_FIELDS,
  init_method: z.unknown().optional(),
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
  summary:
    "Granite 4: 350M, 1B and Micro, with or without state-space layers, and H-Tiny and H-Small, with experts",
  traits:
    "Granite's blocks with one projection for gate and up. In the H models most blocks have a state-space layer of Mamba 2 in place of attention, with one state of a fixed size (see Qwen 3.5). H-Tiny and H-Small have experts, of which a router chooses some for each token, beside the feed-forward part that all tokens share; adapters can sit on the router (`router`) and on every expert. GGUF files of those without state-space layers are read as Granite's.",
  autoClasses: { "sequence-classification": null },
  gguf: GRANITE_HYBRID_GGUF,
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw, GRANITE_EXPERTS.keys);
    requireTypesOfAll(raw, c);
    const { rope, ...others } = plainAttention(raw, c);
    const attention = { ...others, rope: c.position_embedding_type === "rope" ? rope : null };
    const mlp = { ...siluMlp(c), intermediateSize: c.shared_intermediate_size };
    const shared: Transform = (b, x) => fusedMlp(b, x, MLP, mlp);
    const chosen = c.num_experts > 0 ? graniteExperts(raw, c) : null;
    const both: Transform = (b, x) => (chosen ? add(chosen(b, x), shared(b, x)) : shared(b, x));
    const block = (mixer: Transform): Layer => graniteBlock(c, mixer, both);
    const attending = block(graniteAttention(c, attention));
    const options = c.layer_types.some(isStateSpace) ? mambaOptions(raw, c) : null;
    const remembering = options && block((b, x) => mamba2(b, x, "mamba.", options));
    const layers = c.layer_types.map((type) => (remembering && isStateSpace(type) ? remembering : attending));
    const definition = withStackedExperts(graniteDecoder(raw, c, layers));
    const { checkpoint } = definition;
    const rename = (name: string): string =>
      checkpoint.rename(name).replace(".mlp.down_proj.", `.${MLP.down}.`);
    return { ...definition, checkpoint: { ...checkpoint, rename, mlx: MLX } };
  },
};
