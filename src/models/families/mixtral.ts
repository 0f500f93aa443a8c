/**
 * @file The Mixtral family: Mistral's attention, and experts in every layer, whose weights add up to 1.
 *
 * Paper: "Mixtral of Experts", arXiv:2401.04088, section 2.1.
 */
import { z } from "zod";
import { experts } from "../../nn/experts.ts";
import { plainDecoder } from "../blocks/decoder.ts";
import { llamaBlock, plainAttention, repeat, siluMlp } from "../blocks/decoder-blocks.ts";
import { ofMatrix } from "../config/checkpoint-rules.ts";
import type { Family } from "../family.ts";
import { readExperts } from "../config/expert-config.ts";
import { decoderGguf, EXPERTS, NEIGHBOUR_ROWS } from "../config/decoder-gguf.ts";
import { parseConfig } from "../config/hf-config.ts";
import { MISTRAL_FIELDS } from "../config/mistral-config.ts";

const SCHEMA = z.object({
  ...MISTRAL_FIELDS,
  rms_norm_eps: z.number().positive().default(1e-5),
  rope_theta: z.number().positive().default(1_000_000),
  sliding_window: z.int().positive().nullish(),
  num_experts: z.int().positive().default(8),
  num_experts_per_tok: z.int().positive().default(2),
});

/** Names of these settings in its files. */
const KEYS = { num_experts: "num_local_experts" };

/** Names in its files of the feed-forward part and of an expert's matrices. */
const PART = "block_sparse_moe.";
const NAMES = { gate: "w1", up: "w3", down: "w2" };

export const mixtral: Family = {
  modelType: "mixtral",
  summary: "Mixtral 8x7B and 8x22B, and merges of the same form",
  traits:
    "Mistral's attention; experts in every layer, a router that chooses a few for each token, with weights that add up to 1. Adapters can sit on the router (`gate`) and on every expert.",
  inTransformersJs: false,
  gguf: decoderGguf({
    architecture: "llama",
    toldBy: "expert_count",
    className: "MixtralForCausalLM",
    blockNames: {
      mlp: {
        ffn_gate_inp: `${PART}gate`,
        ffn_gate_exps: `${PART}experts.*.${NAMES.gate}`,
        ffn_up_exps: `${PART}experts.*.${NAMES.up}`,
        ffn_down_exps: `${PART}experts.*.${NAMES.down}`,
      },
    },
    changes: { ...NEIGHBOUR_ROWS, ...EXPERTS.changes },
    settings: EXPERTS.settings,
    keys: KEYS,
    switches: {},
  }),
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw, KEYS);
    const expert = { ...siluMlp(c), names: NAMES };
    const options = { ...readExperts(raw, c), normalizes: true, expert };
    const attention = { ...plainAttention(raw, c), window: c.sliding_window ?? null };
    const layer = llamaBlock(c, attention, (b, x) => experts(b, x, PART, options));
    const definition = plainDecoder(raw, c, repeat(layer, c));
    return {
      ...definition,
      checkpoint: {
        ...definition.checkpoint,
        // The class of transformers 5 has the usual name for the part; only transformers 4 has modules for single experts.
        rename: (name) => ofMatrix(definition.checkpoint.rename(name).replace(/(?<=^|\.)mlp\./, PART), NAMES),
        peftPath: (path) => path.replace(/block_sparse_moe\.(?!experts\.\d)/, "mlp."),
      },
    };
  },
};
