/** @file The text part of the Qwen 3.5 family. */
import { z } from "zod";
import { mlpPart, siluMlp } from "../blocks/decoder-blocks.ts";
import { QWEN3_5_FIELDS, qwen35Decoder } from "../blocks/qwen3-5.ts";
import { parseConfig } from "../config/hf-config.ts";
import { QWEN3_5_GGUF } from "../config/qwen3-5-files.ts";
import type { Family } from "../family.ts";

const SCHEMA = z.object(QWEN3_5_FIELDS);

export const qwen35Text: Family = {
  modelType: "qwen3_5_text",
  summary: "The text part of Qwen 3.5 and 3.6 without experts, as a model of its own",
  traits:
    "Three of four layers have a gated delta net in place of attention: one state of a fixed size, which each token corrects. The others have attention with a norm on each head of queries and keys, a quarter of which is rotated, and a gate on its output. While texts are written, states are kept beside the pages, and no text begins with what another has cached.",
  gguf: QWEN3_5_GGUF,
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    return qwen35Decoder(raw, c, mlpPart(siluMlp(c)));
  },
};
