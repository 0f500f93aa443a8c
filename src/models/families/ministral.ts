/** @file The Ministral family: Mistral's blocks, where `layer_types` tells which layers have the window. */
import { z } from "zod";
import { plainDecoder } from "../blocks/decoder.ts";
import { llamaBlock, plainAttention } from "../blocks/decoder-blocks.ts";
import type { Family } from "../family.ts";
import { parseConfig } from "../config/hf-config.ts";
import { MISTRAL_FIELDS } from "../config/mistral-config.ts";
import { WINDOW_FIELDS, layersByWindow } from "../config/window-config.ts";

const SCHEMA = z.object({ ...MISTRAL_FIELDS, layer_types: WINDOW_FIELDS.layer_types });

export const ministral: Family = {
  modelType: "ministral",
  summary: "Ministral 8B, if its configuration says which layers have a window",
  traits: "Mistral's blocks; `layer_types` says which of them have the window; without it, all do.",
  // Files of Llama's architecture have no setting for a window.
  gguf: "not-in-gguf",
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    const attention = plainAttention(raw, c);
    const full = llamaBlock(c, attention);
    const windowed = llamaBlock(c, { ...attention, window: c.sliding_window });
    const layers = layersByWindow(raw, c, { full, windowed }, () => c.sliding_window !== null);
    return plainDecoder(raw, c, layers);
  },
};
