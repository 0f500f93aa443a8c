/** @file Names in EXAONE's files, versions 3 and 3.5. Only names differ from Llama's, whose class transformers 5 uses for them. */
import type { DecoderFields } from "../../config/hf-config.ts";
import type { RawConfig } from "../../config/raw-config.ts";

/** Names of these settings in files; those that transformers 5 wrote have the usual names. */
export const EXAONE_KEYS = {
  num_hidden_layers: "num_layers",
  rms_norm_eps: "layer_norm_epsilon",
  hidden_act: "activation_function",
};

/** Parts of names in files, in the order in which they are replaced. */
const NAMES = {
  "transformer.wte.": "model.embed_tokens.",
  "transformer.h.": "model.layers.",
  "transformer.ln_f.": "model.norm.",
  ".attn.attention.": ".self_attn.",
  ".self_attn.out_proj.": ".self_attn.o_proj.",
  ".ln_1.": ".input_layernorm.",
  ".ln_2.": ".post_attention_layernorm.",
  ".mlp.c_fc_0.": ".mlp.gate_proj.",
  ".mlp.c_fc_1.": ".mlp.up_proj.",
  ".mlp.c_proj.": ".mlp.down_proj.",
};

/** The name in Llama's class of a tensor of a file. */
export function nameInLlama(fileName: string): string {
  return Object.entries(NAMES).reduce((name, [from, to]) => name.replace(from, to), fileName);
}

/** The configuration of a folder with Llama's names, as a configuration of Llama; `c`: settings with the family's defaults. */
export function llamaConfig(
  { auto_map: _code, architectures, ...raw }: RawConfig,
  c: DecoderFields,
): RawConfig {
  const usual = new Map<string, string>(Object.entries(EXAONE_KEYS).map(([key, inFile]) => [inFile, key]));
  const classes: readonly unknown[] = Array.isArray(architectures) ? architectures : ["ExaoneForCausalLM"];
  return {
    ...Object.fromEntries(Object.entries(raw).map(([key, value]) => [usual.get(key) ?? key, value])),
    num_key_value_heads: c.num_key_value_heads ?? c.num_attention_heads,
    rms_norm_eps: c.rms_norm_eps,
    max_position_embeddings: c.max_position_embeddings,
    rope_theta: c.rope_theta,
    architectures: classes.map((name) => String(name).replace(/^Exaone/, "Llama")),
    model_type: "llama",
  };
}
