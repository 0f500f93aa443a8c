/**
 * @file The SmolLM3 family: Llama's blocks, but every fourth does not rotate queries and keys.
 *
 * Paper: "RoPE to NoPE and Back Again", arXiv:2501.18795.
 */
import { z } from "zod";
import { plainDecoder } from "../blocks/decoder.ts";
import { llamaBlock, plainAttention } from "../blocks/decoder-blocks.ts";
import type { Family, Layer } from "../family.ts";
import { BIAS_SWITCHES, decoderGguf, NEIGHBOUR_ROWS } from "../config/decoder-gguf.ts";
import { BIAS_FIELDS, DECODER_FIELDS, parseConfig, unusable } from "../config/hf-config.ts";
import { WINDOW_FIELDS, windowedLayers } from "../config/window-config.ts";

const SCHEMA = z.object({
  ...DECODER_FIELDS,
  ...WINDOW_FIELDS,
  num_key_value_heads: z.int().positive().nullable().default(4),
  max_position_embeddings: z.int().positive().default(32_768),
  tie_word_embeddings: z.boolean().default(true),
  rope_theta: z.number().positive().default(2_000_000),
  ...BIAS_FIELDS,
  no_rope_layers: z.array(z.union([z.literal(0), z.literal(1)])).nullish(),
  no_rope_layer_interval: z.int().positive().default(4),
});

export const smollm3: Family = {
  modelType: "smollm3",
  summary: "SmolLM3",
  traits: "Llama's blocks, of which every fourth does not rotate queries and keys.",
  // The file does not tell which layers rotate: readers assume all but every fourth.
  gguf: decoderGguf({
    architecture: "smollm3",
    className: "SmolLM3ForCausalLM",
    changes: NEIGHBOUR_ROWS,
    fixed: { no_rope_layer_interval: 4, use_sliding_window: false },
    switches: BIAS_SWITCHES,
  }),
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    const { no_rope_layers: rotated, num_hidden_layers: numLayers, no_rope_layer_interval: interval } = c;
    if (rotated && rotated.length !== numLayers) {
      throw unusable(raw, `no_rope_layers has ${rotated.length} entries (expected ${numLayers})`);
    }
    const plain = plainAttention(raw, c);
    // 1 means that a layer rotates.
    const rotates = (layer: number): boolean =>
      rotated ? rotated[layer] === 1 : (layer + 1) % interval !== 0;
    const isWindowed = windowedLayers(raw, c, (layer) => c.use_sliding_window === true && !rotates(layer));
    const made = new Map<string, Layer>();
    const layers = isWindowed.map((hasWindow, layer) => {
      const isRotated = rotates(layer);
      const key = `${isRotated} ${hasWindow}`;
      const attention = {
        ...plain,
        rope: isRotated ? plain.rope : null,
        window: hasWindow ? (c.sliding_window ?? null) : null,
      };
      const block = made.get(key) ?? llamaBlock(c, attention);
      made.set(key, block);
      return block;
    });
    return plainDecoder(raw, c, layers);
  },
};
