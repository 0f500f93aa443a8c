/**
 * @file The LFM2 family: gated short convolutions in most layers, grouped-query attention with a norm on each head in the others.
 *
 * Report: "LFM2 Technical Report", arXiv:2511.23404, section 2.
 */
import { z } from "zod";
import { gatedMlp } from "../../nn/gated-mlp.ts";
import { siluMlp } from "../blocks/decoder-blocks.ts";
import { LFM2_MLP, lfm2Blocks, lfm2Decoder } from "../blocks/lfm2.ts";
import type { Family } from "../family.ts";
import { DENSE_FIELDS, LFM2_FIELDS, LFM2_GGUF, LFM2_KEYS, feedForwardWidth } from "../config/lfm2-config.ts";
import { parseConfig } from "../config/hf-config.ts";
import { requireTypesOfAll } from "../config/layer-types.ts";

export const lfm2: Family = {
  modelType: "lfm2",
  summary: "LFM2 and LFM2.5: 350M, 700M, 1.2B and 2.6B",
  traits:
    "Most layers have a gated convolution over three tokens in place of attention; the others have Llama's attention with a norm on each head of queries and keys. While texts are written, a convolution keeps only what the last two tokens gave.",
  autoClasses: { "sequence-classification": null },
  gguf: LFM2_GGUF,
  open: (raw) => {
    const c = parseConfig(z.object({ ...LFM2_FIELDS, ...DENSE_FIELDS }), raw, LFM2_KEYS);
    requireTypesOfAll(raw, c);
    const mlp = { ...siluMlp(c), intermediateSize: feedForwardWidth(c), names: LFM2_MLP };
    return lfm2Decoder(
      raw,
      c,
      lfm2Blocks(raw, c, (b, x) => gatedMlp(b, x, "feed_forward.", mlp)),
    );
  },
};
