/** @file GGUF settings that say for each layer whether it has a window. */
import { type DecoderRules, count } from "./decoder-gguf.ts";

/** Rules for such files; in a file without these settings no layer has a window. */
export const LAYER_WINDOWS = {
  settings: {
    "attention.sliding_window": count("sliding_window", "left-out"),
    "attention.sliding_window_pattern": { key: "windowed_layers", type: "bools", absent: "left-out" },
  },
  complete: ({ windowed_layers: windowed, sliding_window: window = null, ...config }) => ({
    ...config,
    sliding_window: window,
    ...(Array.isArray(windowed) && {
      layer_types: windowed.map((has) => (has ? "sliding_attention" : "full_attention")),
    }),
  }),
  values: ({ sliding_window: window }, attention) =>
    window == null ? {} : { windowed_layers: attention.map((layer) => layer.window !== null) },
} satisfies Partial<DecoderRules>;
