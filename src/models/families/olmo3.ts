/**
 * @file The OLMo 3 family: OLMo 2's blocks, three with a window for each one that sees all keys and whose rotation is stretched to
 * long contexts.
 *
 * Report: "Olmo 3", Ai2, 2025.
 */
import { z } from "zod";
import { plainDecoder } from "../blocks/decoder.ts";
import { plainAttention } from "../blocks/decoder-blocks.ts";
import { OLMO2_FIELDS, olmo2Block } from "../blocks/olmo2.ts";
import type { Family, RawConfig } from "../family.ts";
import { decoderGguf, NORMS_BEHIND, real } from "../config/decoder-gguf.ts";
import { LAYER_WINDOWS } from "../config/gguf-windows.ts";
import { parseConfig } from "../config/hf-config.ts";
import { readRopes } from "../config/rope-config.ts";
import { WINDOW_FIELDS, layersByWindow } from "../config/window-config.ts";

const SCHEMA = z.object({
  ...OLMO2_FIELDS,
  rope_theta: z.number().positive().default(500_000),
  sliding_window: z.int().positive().default(4096),
  layer_types: WINDOW_FIELDS.layer_types,
});

export const olmo3: Family = {
  modelType: "olmo3",
  summary: "OLMo 3: 7B and 32B",
  traits:
    "OLMo 2's blocks, of which every fourth sees all keys; the others have a window, and their rotation is not stretched.",
  gguf: decoderGguf({
    architecture: "olmo2",
    className: "Olmo3ForCausalLM",
    toldBy: "attention.sliding_window",
    blockNames: NORMS_BEHIND,
    ...LAYER_WINDOWS,
    settings: {
      ...LAYER_WINDOWS.settings,
      "rope.freq_base_swa": real("window_rope_theta", { sameAs: "rope_theta" }),
    },
    complete: ({ rope_theta: theta, rope_scaling: scaling, window_rope_theta: windowTheta, ...config }) => ({
      ...LAYER_WINDOWS.complete(config),
      // Written for each kind of layer: given one base for all, transformers 5 takes its default for layers with a window.
      rope_parameters: {
        full_attention: { rope_type: "default", ...(scaling as RawConfig | undefined), rope_theta: theta },
        sliding_attention: { rope_type: "default", rope_theta: windowTheta },
      },
    }),
    values: (settings, attention) => {
      const [full, windowed] = [false, true].map(
        (hasWindow) => attention.find(({ window }) => (window !== null) === hasWindow)?.rope?.theta,
      );
      return {
        ...LAYER_WINDOWS.values(settings, attention),
        ...(windowed !== full && { window_rope_theta: windowed }),
      };
    },
  }),
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw);
    // Rotation differs between layers with and without a window, and is read below for each.
    const plain = plainAttention({ ...raw, rope_parameters: null, rope_scaling: null }, c);
    const { rope, windowRope } = readRopes(raw, plain.headWidth, {
      maxPositions: c.max_position_embeddings,
      theta: c.rope_theta,
      windowTheta: c.rope_theta,
    });
    const full = olmo2Block(c, { ...plain, rope });
    const windowed = olmo2Block(c, { ...plain, rope: windowRope, window: c.sliding_window });
    const layers = layersByWindow(raw, c, { full, windowed }, (layer) => (layer + 1) % 4 !== 0);
    return plainDecoder(raw, c, layers);
  },
};
