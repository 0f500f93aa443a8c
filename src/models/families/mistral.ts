/**
 * @file The Mistral family: Llama's blocks, where queries see the last `sliding_window` keys.
 *
 * Paper: "Mistral 7B", arXiv:2310.06825, section 2.
 */
import { z } from "zod";
import { plainDecoder } from "../blocks/decoder.ts";
import { llamaBlock, plainAttention, repeat } from "../blocks/decoder-blocks.ts";
import type { Family } from "../family.ts";
import { parseConfig } from "../config/hf-config.ts";
import { MISTRAL_FIELDS } from "../config/mistral-config.ts";
import { llama } from "./llama.ts";

const SCHEMA = z.object(MISTRAL_FIELDS);

export const mistral: Family = {
  modelType: "mistral",
  summary: "Mistral 7B and models like it, with a sliding window if the configuration has one",
  traits: "Llama's blocks; with `sliding_window`, a token sees that many keys at most.",
  // Such a file names Llama's architecture and has no setting for a window; without a window the model is a Llama.
  gguf: llama.gguf,
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    const layer = llamaBlock(c, { ...plainAttention(raw, c), window: c.sliding_window });
    return plainDecoder(raw, c, repeat(layer, c));
  },
};
