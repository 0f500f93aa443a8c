/** @file How GGUF files say which layers have a window, where they say it of each layer. */
import { type DecoderRules, count } from "./decoder-gguf.ts";

/** Rules of such files; a file without a window means that there is none. */
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
