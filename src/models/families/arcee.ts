/**
 * @file The Arcee family: Llama's blocks with a squared ReLU and no gate in the feed-forward part.
 *
 *   x ← x + Wdown relu(Wup norm(x))²
 *
 * Paper of the activation: "Primer", arXiv:2109.08668, section 3.
 */
import { z } from "zod";
import { plainDecoder } from "../blocks/decoder.ts";
import { llamaBlock, plainAttention, plainMlpPart, repeat } from "../blocks/decoder-blocks.ts";
import type { Family } from "../family.ts";
import { BIAS_SWITCHES, decoderGguf, NEIGHBOUR_ROWS, mlpNames } from "../config/decoder-gguf.ts";
import { BIAS_FIELDS, DECODER_FIELDS, parseConfig } from "../config/hf-config.ts";

const SCHEMA = z.object({
  ...DECODER_FIELDS,
  ...BIAS_FIELDS,
  rms_norm_eps: z.number().positive().default(1e-5),
  max_position_embeddings: z.int().positive().default(4096),
  hidden_act: z.literal("relu2").default("relu2"),
});

const MLP = { up: "mlp.up_proj", down: "mlp.down_proj" };

export const arcee: Family = {
  modelType: "arcee",
  summary: "Arcee AFM 4.5B",
  traits: "Llama's blocks, whose feed-forward part has a squared ReLU and no gate.",
  gguf: decoderGguf({
    architecture: "arcee",
    className: "ArceeForCausalLM",
    blockNames: { mlp: mlpNames(MLP) },
    changes: NEIGHBOUR_ROWS,
    fixed: { hidden_act: "relu2" },
    switches: BIAS_SWITCHES,
  }),
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    const mlp = plainMlpPart(MLP, c, c.mlp_bias);
    return plainDecoder(raw, c, repeat(llamaBlock(c, plainAttention(raw, c), mlp), c));
  },
};
