/**
 * @file The text part of Qwen 3 models that also read images. Images are not read, nor are their features that lower layers get.
 *
 * Report: "Qwen3-VL Technical Report", arXiv:2511.21631.
 */
import type { Family, RawConfig } from "../family.ts";
import { BLOCK_NAMES, count, decoderGguf } from "../config/decoder-gguf.ts";
import { SECTIONS, withoutPlaces, writeSections } from "../config/image-places.ts";
import { QWEN_BESIDE_TEXT, textConfig, withTextCheckpoint } from "../config/text-part.ts";
import { qwen3 } from "./qwen3.ts";

/** Defaults: transformers only writes settings of the text part that differ from them. */
const DEFAULTS = {
  vocab_size: 151_936,
  hidden_size: 4096,
  intermediate_size: 22_016,
  num_hidden_layers: 32,
  num_attention_heads: 32,
  max_position_embeddings: 128_000,
  rope_theta: 500_000,
};

const textPart = (raw: RawConfig): RawConfig =>
  textConfig(raw, {
    defaults: DEFAULTS,
    fixed: { model_type: qwen3.modelType },
    classes: { telling: "Qwen3", writing: "Qwen3" },
    beside: QWEN_BESIDE_TEXT,
  });

/** Number of lowest layers that get features of an image. */
function countDeepLayers({ vision_config: vision }: RawConfig): number | undefined {
  const { deepstack_visual_indexes: layers } = (vision ?? {}) as { deepstack_visual_indexes?: unknown };
  return Array.isArray(layers) ? layers.length : undefined;
}

export const qwen3Vl: Family = {
  modelType: "qwen3_vl",
  summary: "The text part of Qwen3-VL: 2B, 4B, 8B and 32B",
  traits: "The blocks of Qwen 3. The vision tower is skipped: images are not read.",
  autoClasses: { "causal-lm": "AutoModelForImageTextToText", "sequence-classification": null },
  gguf: decoderGguf({
    architecture: "qwen3vl",
    className: "Qwen3VLForConditionalGeneration",
    blockNames: { headNorms: BLOCK_NAMES.headNorms },
    // Number of layers that get features of an image, which readers of images require.
    settings: { ...SECTIONS, n_deepstack_layers: count("num_deep_layers", "left-out") },
    complete: ({ sections: _sections, num_deep_layers: _num, ...config }) => config,
    values: (settings) => writeSections(settings, [24, 20, 20]),
  }),
  open: (raw) => {
    const definition = qwen3.open(textPart(raw));
    const settings = { ...definition.settings, num_deep_layers: countDeepLayers(raw) };
    return withTextCheckpoint({ ...definition, settings }, (config) => withoutPlaces(textPart(config)));
  },
};
