/** @file GGUF files of Gemma 4: heads of layers with a window, and heads of keys for each layer. */
import type { AttentionOptions } from "../../../nn/builder.ts";
import {
  BLOCK_NAMES,
  type DecoderRules,
  EXPERTS,
  count,
  decoderGguf,
  preNormNames,
  real,
} from "../../config/decoder-gguf.ts";
import { GEMMA4_KEYS, GEMMA4_NAMES, type Gemma4Fields } from "./config.ts";
import { PRE_NORMS_OF_FOUR } from "../../config/decoder-names.ts";
import type { RawConfig } from "../../config/raw-config.ts";

/** A number for each layer, or one for all. */
type OfLayers = number | readonly number[];

/** Settings of files that config.json has in another form. */
interface FileSettings {
  readonly windowed_layers: readonly boolean[];
  readonly mlp_widths: OfLayers;
  readonly key_heads: OfLayers;
  readonly window_head_dim: number;
  readonly window_rope_theta: number;
}
/** Widths that must equal those of the heads; otherwise they stay in the settings and are refused as unknown. */
const ALIKE_KEYS = new Set(["window_value_dim", "window_rotary_dim"]);
const FILE_KEYS = new Set([
  ...ALIKE_KEYS,
  ..."windowed_layers mlp_widths key_heads window_head_dim window_rope_theta".split(" "),
]);

/** Attention of layers with a window; of any layer if there are none, since readers require these settings. */
const windowedOf = (attention: readonly AttentionOptions[]): AttentionOptions | undefined =>
  attention.find(({ window }) => window !== null) ?? attention[0];

const OF_LAYERS = { type: "int32s", absent: "refused", isOneForAll: true } as const;
const [TABLE, PROJECTION, NORM] = GEMMA4_NAMES.beside;

/** The number for a layer. */
const at = (numbers: OfLayers, layer: number): number | undefined =>
  typeof numbers === "number" ? numbers : numbers[layer];
/** One number if all layers have the same. */
const inOne = (numbers: readonly number[]): OfLayers =>
  numbers.every((each) => each === numbers[0]) ? (numbers[0] ?? 0) : numbers;

/** Rules that files with and without experts have in common. */
const COMMON = {
  architecture: "gemma4",
  className: "Gemma4ForCausalLM",
  blockNames: {
    preNorms: preNormNames(PRE_NORMS_OF_FOUR),
    headNorms: BLOCK_NAMES.headNorms,
    postNorms: BLOCK_NAMES.postNorms,
    layerInput: {
      inp_gate: "per_layer_input_gate",
      proj: "per_layer_projection",
      post_norm: "post_per_layer_input_norm",
    },
  },
  names: GEMMA4_NAMES,
  besideNames: { per_layer_token_embd: TABLE, per_layer_model_proj: PROJECTION, per_layer_proj_norm: NORM },
  tensorsInBlock: { "layer_output_scale.weight": "layer_scalar" },
  settings: {
    feed_forward_length: { key: "mlp_widths", ...OF_LAYERS },
    "attention.head_count_kv": { key: "key_heads", ...OF_LAYERS },
    "attention.sliding_window": count("sliding_window"),
    "attention.sliding_window_pattern": { key: "windowed_layers", type: "bools", absent: "refused" },
    "attention.key_length_swa": count("window_head_dim"),
    "attention.value_length_swa": count("window_value_dim"),
    "rope.dimension_count_swa": count("window_rotary_dim", { sameAs: "window_head_dim" }),
    "rope.freq_base_swa": real("window_rope_theta", { sameAs: "rope_theta" }),
    "attention.shared_kv_layers": count("num_kv_shared_layers", 0),
    embedding_length_per_layer_input: count("hidden_size_per_layer_input", 0),
    // Readers have this default; 0: logits have no cap.
    final_logit_softcapping: real("final_logit_softcapping", 30),
  },
  fixed: { hidden_act: null, hidden_activation: "gelu_pytorch_tanh" },
  // Readers have no biases.
  switches: {},
  gaps: { attention_k_eq_v: { has: "attn_k.weight", lacks: "attn_v.weight" } },
  complete({ head_dim: width, rope_theta: theta, rope_scaling: scaling, ...config }) {
    const found = config as unknown as FileSettings;
    const { windowed_layers: windowed, window_head_dim: windowWidth, mlp_widths: widths } = found;
    const headsOf = (layer: number): number | undefined => at(found.key_heads, layer);
    const last = windowed.length - 1;
    const inForm = ([key, value]: [string, unknown]): boolean =>
      !FILE_KEYS.has(key) || (ALIKE_KEYS.has(key) && value !== windowWidth);
    return {
      ...Object.fromEntries(Object.entries(config).filter(inForm)),
      intermediate_size: at(widths, 0),
      use_double_wide_mlp: at(widths, last) !== at(widths, 0),
      vocab_size_per_layer_input: config["vocab_size"],
      final_logit_softcapping: config["final_logit_softcapping"] || null,
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
  values(settings, attention) {
    const windowed = windowedOf(attention);
    const { intermediate_size: width, ...c } = settings as Gemma4Fields;
    const first = attention.length - c.num_kv_shared_layers;
    const wider = c.use_double_wide_mlp ? 2 : 1;
    return {
      windowed_layers: attention.map(({ window }) => window !== null),
      mlp_widths: inOne(attention.map((_, layer) => (layer < first ? width : wider * width))),
      key_heads: inOne(attention.map(({ numKeyValueHeads }) => numKeyValueHeads)),
      window_head_dim: windowed?.headWidth,
      window_value_dim: windowed?.headWidth,
      window_rotary_dim: windowed?.rope?.width,
      window_rope_theta: windowed?.rope?.theta,
      final_logit_softcapping: c.final_logit_softcapping ?? 0,
      hidden_size_per_layer_input: c.hidden_size_per_layer_input ?? 0,
    };
  },
} satisfies DecoderRules;

/** Files with experts in every layer. */
const GEMMA4_MOE_GGUF = decoderGguf({
  ...COMMON,
  blockNames: {
    ...COMMON.blockNames,
    preNorms: { ...COMMON.blockNames.preNorms, pre_ffw_norm_2: "pre_feedforward_layernorm_2" },
    mlp: {
      ...BLOCK_NAMES.mlp,
      ffn_gate_inp: "router.proj",
      ffn_down_exps: "experts.*.down_proj",
    },
    postNorms: {
      ...COMMON.blockNames.postNorms,
      post_ffw_norm_1: "post_feedforward_layernorm_1",
      post_ffw_norm_2: "post_feedforward_layernorm_2",
    },
  },
  pairs: { ffn_gate_up_exps: ["experts.*.gate_proj", "experts.*.up_proj"] },
  tensorsInBlock: {
    ...COMMON.tensorsInBlock,
    "ffn_gate_inp.scale": "router.scale",
    "ffn_down_exps.scale": "router.per_expert_scale",
  },
  changes: { ffn_down_exps: "stacked" },
  settings: {
    ...COMMON.settings,
    ...EXPERTS.settings,
    expert_feed_forward_length: count("moe_intermediate_size"),
  },
  keys: GEMMA4_KEYS,
  fixed: { ...COMMON.fixed, enable_moe_block: true },
});

export const GEMMA4_GGUF = decoderGguf({
  ...COMMON,
  withExperts: GEMMA4_MOE_GGUF,
  instead: ({ enable_moe_block: hasExperts }) => (hasExperts === true ? GEMMA4_MOE_GGUF : null),
});
