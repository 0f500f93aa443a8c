/**
 * @file What differs between model families in GGUF files: names of tensors and settings, and the order of rows.
 *
 * To add a family: one entry in GGUF_ARCHITECTURES. llama's converter reorders the rows of q and k from
 * (heads, 2, head width / 2) to (heads, head width / 2, 2); `reordered` names them, so that it can be undone.
 */
import { lookup } from "../files/lookup.ts";

/** How the GGUF files of one family map to Hugging Face folders. */
export interface GgufArchitecture {
  /** Values of config.json that all models of the family share. */
  readonly fixed: Readonly<Record<string, unknown>>;
  /** Settings `<architecture>.<key>` → key of config.json. */
  readonly settings: Readonly<Record<string, string>>;
  /** Keys of config.json that are true when the named tensor of block 0 exists. */
  readonly switches: Readonly<Record<string, string>>;
  /** Modules outside the blocks. */
  readonly modules: Readonly<Record<string, string>>;
  /** Modules of block N, after `blk.N.` → after `model.layers.N.`. */
  readonly blockModules: Readonly<Record<string, string>>;
  /** Modules of a block whose rows are reordered, and which number of heads splits them. */
  readonly reordered: Readonly<Record<string, "num_attention_heads" | "num_key_value_heads">>;
  /** Prefix of a block's modules. */
  readonly blockPrefix: string;
}

const SETTINGS = {
  block_count: "num_hidden_layers",
  context_length: "max_position_embeddings",
  embedding_length: "hidden_size",
  feed_forward_length: "intermediate_size",
  "attention.head_count": "num_attention_heads",
  "attention.head_count_kv": "num_key_value_heads",
  "attention.layer_norm_rms_epsilon": "rms_norm_eps",
  "rope.freq_base": "rope_theta",
};

const MODULES = { token_embd: "model.embed_tokens", output_norm: "model.norm", output: "lm_head" };

const BLOCK_MODULES = {
  attn_norm: "input_layernorm",
  attn_q: "self_attn.q_proj",
  attn_k: "self_attn.k_proj",
  attn_v: "self_attn.v_proj",
  attn_output: "self_attn.o_proj",
  ffn_norm: "post_attention_layernorm",
  ffn_gate: "mlp.gate_proj",
  ffn_up: "mlp.up_proj",
  ffn_down: "mlp.down_proj",
};

/** Families whose GGUF files graft can open, by `general.architecture`. */
export const GGUF_ARCHITECTURES: Readonly<Record<string, GgufArchitecture>> = {
  llama: {
    fixed: { model_type: "llama", architectures: ["LlamaForCausalLM"], hidden_act: "silu" },
    settings: SETTINGS,
    switches: { attention_bias: "attn_q.bias", mlp_bias: "ffn_up.bias" },
    modules: MODULES,
    blockModules: BLOCK_MODULES,
    reordered: { attn_q: "num_attention_heads", attn_k: "num_key_value_heads" },
    blockPrefix: "model.layers",
  },
  qwen2: {
    fixed: {
      model_type: "qwen2",
      architectures: ["Qwen2ForCausalLM"],
      hidden_act: "silu",
      use_sliding_window: false,
    },
    settings: SETTINGS,
    switches: {},
    modules: MODULES,
    blockModules: BLOCK_MODULES,
    reordered: {},
    blockPrefix: "model.layers",
  },
  qwen3: {
    fixed: {
      model_type: "qwen3",
      architectures: ["Qwen3ForCausalLM"],
      hidden_act: "silu",
      use_sliding_window: false,
    },
    settings: SETTINGS,
    switches: { attention_bias: "attn_q.bias" },
    modules: MODULES,
    blockModules: {
      ...BLOCK_MODULES,
      attn_q_norm: "self_attn.q_norm",
      attn_k_norm: "self_attn.k_norm",
    },
    reordered: {},
    blockPrefix: "model.layers",
  },
};

/** A tensor of a GGUF file in Hugging Face's terms. */
export interface GgufName {
  readonly hfName: string;
  /** Which number of heads splits its rows, if they are reordered. */
  readonly reordered: "num_attention_heads" | "num_key_value_heads" | null;
}

/** Translates the name of a tensor; null when the family has no such tensor. */
export function translateName(architecture: GgufArchitecture, ggufName: string): GgufName | null {
  const match = /^(?:blk\.(?<block>\d+)\.)?(?<module>.+)\.(?<part>weight|bias)$/.exec(ggufName);
  const { block, module = "", part } = match?.groups ?? {};
  if (block === undefined) {
    const hfModule = lookup(architecture.modules, module);
    return hfModule === undefined ? null : { hfName: `${hfModule}.${part}`, reordered: null };
  }
  const hfModule = lookup(architecture.blockModules, module);
  if (hfModule === undefined) return null;
  const hfName = `${architecture.blockPrefix}.${block}.${hfModule}.${part}`;
  return { hfName, reordered: lookup(architecture.reordered, module) ?? null };
}

/** Translates a name back, the inverse of `translateName`; null when the family's files have no such tensor. */
export function toGgufName(
  architecture: GgufArchitecture,
  hfName: string,
): (Pick<GgufName, "reordered"> & { readonly ggufName: string }) | null {
  const { blockPrefix, blockModules, modules, reordered } = architecture;
  const match = /^(?<path>.+)\.(?<part>weight|bias)$/.exec(hfName);
  const { path = "", part } = match?.groups ?? {};
  const inBlock = path.startsWith(`${blockPrefix}.`) ? path.slice(blockPrefix.length + 1) : null;
  const dot = inBlock?.indexOf(".") ?? 0;
  const hfModule = inBlock?.slice(dot + 1) ?? path;
  const found = Object.entries(inBlock === null ? modules : blockModules).find(([, to]) => to === hfModule);
  if (part === undefined || found === undefined) return null;
  const [module] = found;
  if (inBlock === null) return { ggufName: `${module}.${part}`, reordered: null };
  return {
    ggufName: `blk.${inBlock.slice(0, dot)}.${module}.${part}`,
    reordered: lookup(reordered, module) ?? null,
  };
}

/**
 * Computes the order that undoes the converter's reordering: row i of the Hugging Face tensor is row `order[i]` of
 * the file. Row (head, half, j) lies in the file at (head, j, half).
 */
export function originalRowOrder(numRows: number, numHeads: number): Int32Array {
  const headRows = numRows / numHeads;
  const order = new Int32Array(numRows);
  for (let row = 0; row < numRows; row++) {
    const inHead = row % headRows;
    const half = inHead < headRows / 2 ? 0 : 1;
    order[row] = row - inHead + 2 * (inHead - half * (headRows / 2)) + half;
  }
  return order;
}

/** Computes the order that the converter makes, the inverse of `originalRowOrder`. */
export function fileRowOrder(numRows: number, numHeads: number): Int32Array {
  const inverse = new Int32Array(numRows);
  for (const [row, from] of originalRowOrder(numRows, numHeads).entries()) inverse[from] = row;
  return inverse;
}
