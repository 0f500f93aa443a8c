/**
 * @file The OLMo 2 family: norms after the branches instead of before them, and on all heads of queries and keys together.
 *
 * Paper: "2 OLMo 2 Furious", arXiv:2501.00656, section 3.
 */
import { z } from "zod";
import { plainDecoder } from "../blocks/decoder.ts";
import { plainAttention, repeat } from "../blocks/decoder-blocks.ts";
import { OLMO2_FIELDS, olmo2Block } from "../blocks/olmo2.ts";
import type { Family } from "../family.ts";
import { decoderGguf, NORMS_BEHIND } from "../config/decoder-gguf.ts";
import { parseConfig } from "../config/hf-config.ts";

const SCHEMA = z.object(OLMO2_FIELDS);

export const olmo2: Family = {
  modelType: "olmo2",
  summary: "OLMo 2",
  traits: "Norms behind the branches instead of before them, and on all queries and all keys together.",
  gguf: decoderGguf({ architecture: "olmo2", className: "Olmo2ForCausalLM", blockNames: NORMS_BEHIND }),
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    return plainDecoder(raw, c, repeat(olmo2Block(c, plainAttention(raw, c)), c));
  },
};
