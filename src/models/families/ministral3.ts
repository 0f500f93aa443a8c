/** @file The Ministral 3 family: Mistral's blocks with a rotation stretched by YaRN, and queries that grow with their position. */
import { z } from "zod";
import { queryScale } from "../../nn/query-scale.ts";
import { plainDecoder } from "../blocks/decoder.ts";
import { llamaBlock, plainAttention, repeat } from "../blocks/decoder-blocks.ts";
import type { Family } from "../family.ts";
import { decoderGguf } from "../config/decoder-gguf.ts";
import { parseConfig, unusable } from "../config/hf-config.ts";
import { MINISTRAL3_GGUF, rotationOf } from "../config/ministral3-config.ts";
import { MISTRAL_FIELDS } from "../config/mistral-config.ts";

const SCHEMA = z.object({
  ...MISTRAL_FIELDS,
  head_dim: z.int().positive().nullable().default(128),
  rms_norm_eps: z.number().positive().default(1e-5),
  max_position_embeddings: z.int().positive().default(262_144),
  sliding_window: z.int().positive().nullable().default(null),
});

export const ministral3: Family = {
  modelType: "ministral3",
  summary: "The text part of Ministral 3: 3B, 8B and 14B",
  traits:
    "Mistral's blocks without a window; `llama_4_scaling_beta` says how queries grow with the logarithm of their position.",
  gguf: decoderGguf(MINISTRAL3_GGUF),
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    // `max_position_embeddings` may be among the rotary settings too.
    const { llama_4_scaling_beta: beta, max_position_embeddings: _, ...rotation } = rotationOf(c);
    const attention = plainAttention({ ...raw, rope_scaling: null, rope_parameters: rotation }, c);
    const { original_max_position_embeddings: numPositions } = rotation;
    if (typeof beta !== "number" || typeof numPositions !== "number") {
      throw unusable(
        raw,
        "its rotary settings have no llama_4_scaling_beta or original_max_position_embeddings",
      );
    }
    const grows = beta === 0 ? {} : { queryNorm: queryScale(beta, numPositions) };
    const layer = llamaBlock(c, { ...attention, window: c.sliding_window, ...grows });
    return plainDecoder(raw, c, repeat(layer, c));
  },
};
