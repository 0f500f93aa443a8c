/** @file Settings of Ministral 3's rotation and query scale, in configurations and GGUF files. */
import { type DecoderRules, NEIGHBOUR_ROWS, real } from "./decoder-gguf.ts";
import type { RawConfig } from "./raw-config.ts";

/** The rotation of files that do not state it. */
const ROTATION = {
  rope_type: "yarn",
  rope_theta: 1e6,
  factor: 16,
  original_max_position_embeddings: 16_384,
  mscale: 1,
  mscale_all_dim: 1,
  llama_4_scaling_beta: 0.1,
};

/** The rotary settings of a configuration, under any of their keys, as `rope_parameters` has them. */
export function rotationOf({
  rope_scaling: added,
  rope_parameters: all,
  rope_theta: theta,
}: RawConfig): RawConfig {
  const given = (added ?? all) as RawConfig | null | undefined;
  return given ? { ...(theta != null && { rope_theta: theta }), ...given } : ROTATION;
}

/** Files of Mistral Small 3.1 have the same architecture, without query scale. */
export const MINISTRAL3_GGUF: DecoderRules = {
  architecture: "mistral3",
  className: "Ministral3ForCausalLM",
  changes: NEIGHBOUR_ROWS,
  settings: { "attention.temperature_scale": real("llama_4_scaling_beta", 0) },
  hasYarnMultiplier: true,
  complete: ({ llama_4_scaling_beta, rope_scaling, rope_theta, ...config }) => ({
    ...config,
    rope_parameters: {
      rope_type: "default",
      original_max_position_embeddings: config["max_position_embeddings"],
      ...(rope_scaling as RawConfig | undefined),
      rope_theta,
      llama_4_scaling_beta,
    },
  }),
  values: (settings, [first]) => {
    // A Mistral without `rope_parameters` does not have the default rotation above.
    const isMistral = !settings["rope_parameters"] && first?.rope?.scaling.kind !== "yarn";
    return isMistral ? {} : { llama_4_scaling_beta: rotationOf(settings)["llama_4_scaling_beta"] };
  },
};
