/** @file What GGUF files say of Gemma 4: heads of layers with a window, and of each layer those of keys. */
import type { AttentionOptions } from "../../nn/builder.ts";
import { BLOCK_NAMES, count, decoderGguf, preNormNames, real } from "./decoder-gguf.ts";
import { PRE_NORMS_OF_FOUR } from "./decoder-names.ts";
import type { RawConfig } from "./raw-config.ts";

/** Settings of files that config.json has in another form. */
interface FileSettings {
  readonly windowed_layers: readonly boolean[];
  readonly key_heads: number | readonly number[];
  readonly window_head_dim: number;
  readonly window_rope_theta: number;
}
/** Widths that are those of the heads: others stay, as settings that no model has. */
const ALIKE_KEYS = new Set(["window_value_dim", "window_rotary_dim"]);
const FILE_KEYS = new Set([
  ...ALIKE_KEYS,
  ..."windowed_layers key_heads window_head_dim window_rope_theta".split(" "),
]);

/** What is said of layers with a window where there are none: readers ask for it. */
const windowedOf = (attention: readonly AttentionOptions[]): AttentionOptions | undefined =>
  attention.find(({ window }) => window !== null) ?? attention[0];

export const GEMMA4_GGUF = decoderGguf({
  architecture: "gemma4",
  className: "Gemma4ForCausalLM",
  blockNames: {
    preNorms: preNormNames(PRE_NORMS_OF_FOUR),
    headNorms: BLOCK_NAMES.headNorms,
    postNorms: BLOCK_NAMES.postNorms,
  },
  tensorsInBlock: { "layer_output_scale.weight": "layer_scalar" },
  settings: {
    "attention.head_count_kv": { key: "key_heads", type: "int32s", absent: "refused", isOneForAll: true },
    "attention.sliding_window": count("sliding_window"),
    "attention.sliding_window_pattern": { key: "windowed_layers", type: "bools", absent: "refused" },
    "attention.key_length_swa": count("window_head_dim"),
    "attention.value_length_swa": count("window_value_dim"),
    "rope.dimension_count_swa": count("window_rotary_dim", { sameAs: "window_head_dim" }),
    "rope.freq_base_swa": real("window_rope_theta", { sameAs: "rope_theta" }),
    "attention.shared_kv_layers": count("num_kv_shared_layers", 0),
    embedding_length_per_layer_input: count("hidden_size_per_layer_input", 0),
    final_logit_softcapping: real("final_logit_softcapping", "left-out"),
  },
  fixed: { hidden_act: null, hidden_activation: "gelu_pytorch_tanh" },
  // Readers know no biases.
  switches: {},
  gaps: { attention_k_eq_v: "attn_v.weight" },
  complete({ head_dim: width, rope_theta: theta, rope_scaling: scaling, ...config }) {
    const found = config as unknown as FileSettings;
    const { windowed_layers: windowed, key_heads: heads, window_head_dim: windowWidth } = found;
    const headsOf = (layer: number): number | undefined => (typeof heads === "number" ? heads : heads[layer]);
    const inForm = ([key, value]: [string, unknown]): boolean =>
      !FILE_KEYS.has(key) || (ALIKE_KEYS.has(key) && value !== windowWidth);
    return {
      ...Object.fromEntries(Object.entries(config).filter(inForm)),
      head_dim: windowWidth,
      num_key_value_heads: headsOf(Math.max(0, windowed.indexOf(true))),
      layer_types: windowed.map((has) => (has ? "sliding_attention" : "full_attention")),
      per_layer_config: Object.fromEntries(
        windowed.map((has, layer) => [
          String(layer),
          { head_dim: has ? windowWidth : width, num_key_value_heads: headsOf(layer) },
        ]),
      ),
      rope_parameters: {
        full_attention: { ...(scaling as RawConfig | undefined), rope_theta: theta },
        sliding_attention: { rope_theta: found.window_rope_theta },
      },
    };
  },
  values(_settings, attention) {
    const windowed = windowedOf(attention);
    return {
      windowed_layers: attention.map(({ window }) => window !== null),
      key_heads: attention.map(({ numKeyValueHeads }) => numKeyValueHeads),
      window_head_dim: windowed?.headWidth,
      window_value_dim: windowed?.headWidth,
      window_rotary_dim: windowed?.rope?.width,
      window_rope_theta: windowed?.rope?.theta,
      hidden_size_per_layer_input: 0,
    };
  },
});
