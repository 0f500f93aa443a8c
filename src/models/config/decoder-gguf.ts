/** @file What the GGUF files of most decoders have in common, so that a family only states its differences. */
import { DECODER_NAMES, type DecoderNames } from "./decoder-names.ts";
import type { GgufChange, GgufModule, GgufRules, GgufSetting, Table } from "./gguf-rules.ts";
import type { RawConfig } from "./raw-config.ts";

/** A setting that is a whole number. */
export const count = (key: string, absent: GgufSetting["absent"] = "refused"): GgufSetting => ({
  key,
  type: "uint32",
  absent,
});
/** A setting that is true or false. */
export const flag = (key: string, absent: boolean): GgufSetting => ({ key, type: "bool", absent });
/** A setting that is a floating-point number. */
export const real = (key: string, absent: GgufSetting["absent"] = "refused"): GgufSetting => ({
  key,
  type: "float32",
  absent,
});

/** Maps names in GGUF files to modules, with their `changes`. */
function ggufModules(
  names: Table<string>,
  changes: Table<GgufChange>,
  isTensor?: Pick<GgufModule, "isTensor">,
): Table<GgufModule> {
  return Object.fromEntries(
    Object.entries(names).map(([name, path]) => [name, { path, change: changes[name] ?? null, ...isTensor }]),
  );
}

/** Modules for stacks that hold two matrices of each expert, one above the other. */
function pairedModules(pairs: Table<readonly [path: string, below: string]>): Table<GgufModule> {
  return Object.fromEntries(
    Object.entries(pairs).map(([name, [path, below]]) => [name, { path, below, change: "stacked" }]),
  );
}

/**
 * The alternative form of gate and up of all experts, for reading: one tensor instead of two, as llama.cpp's converter makes it
 * with `--fuse-gate-up-exps`, or two instead of one.
 */
function otherExperts({
  ffn_gate_exps: gate,
  ffn_up_exps: up,
  ffn_gate_up_exps: both,
}: Table<GgufModule>): Table<GgufModule> {
  const stacked = { change: "stacked", isReadOnly: true } as const;
  if (gate?.change === "stacked" && up?.change === "stacked") {
    return { ffn_gate_up_exps: { path: gate.path, below: up.path, ...stacked } };
  }
  if (both?.below === undefined) return {};
  return { ffn_gate_exps: { path: both.path, ...stacked }, ffn_up_exps: { path: both.below, ...stacked } };
}

/** Norms before attention and before the feed-forward part. */
export const preNormNames = (norms: { readonly attention: string; readonly mlp: string }): Table<string> => ({
  attn_norm: norms.attention,
  ffn_norm: norms.mlp,
});

/** Attention with one projection for queries, keys and values. */
export const fusedNames = (attention: { readonly qkv: string; readonly output: string }): Table<string> => ({
  attn_qkv: attention.qkv,
  attn_output: attention.output,
});

/** A feed-forward part of two projections. */
export const mlpNames = (mlp: { readonly up: string; readonly down: string }): Table<string> => ({
  ffn_up: mlp.up,
  ffn_down: mlp.down,
});

/** Changes for matrices that folders store as [in, out]. */
export const TRANSPOSED = {
  attn_qkv: "transposed",
  attn_output: "transposed",
  ffn_up: "transposed",
  ffn_down: "transposed",
} as const;

/** Modules of a block, grouped by part, with their usual names in folders. */
export const BLOCK_NAMES = {
  preNorms: preNormNames({ attention: "input_layernorm", mlp: "post_attention_layernorm" }),
  /** Norms after attention and after the feed-forward part. */
  postNorms: { post_attention_norm: "post_attention_layernorm", post_ffw_norm: "post_feedforward_layernorm" },
  attention: {
    attn_q: "self_attn.q_proj",
    attn_k: "self_attn.k_proj",
    attn_v: "self_attn.v_proj",
    attn_output: "self_attn.o_proj",
  },
  /** Norms of queries and keys. */
  headNorms: { attn_q_norm: "self_attn.q_norm", attn_k_norm: "self_attn.k_norm" },
  mlp: { ffn_gate: "mlp.gate_proj", ffn_up: "mlp.up_proj", ffn_down: "mlp.down_proj" },
};

/** Modules of a block, grouped by part. */
interface BlockNames {
  readonly deltaNet: Table<string>;
  readonly stateSpace: Table<string>;
  readonly convolution: Table<string>;
  readonly preNorms: Table<string>;
  readonly attention: Table<string>;
  readonly headNorms: Table<string>;
  readonly mlp: Table<string>;
  readonly postNorms: Table<string>;
  readonly layerInput: Table<string>;
}
/** A block with only the norm before attention, or one norm for both branches. */
export const FIRST_NORM = { attn_norm: "input_layernorm" };
/** A block with norms of queries and keys, and with norms after its branches instead of before them. */
export const NORMS_BEHIND: Partial<BlockNames> = {
  preNorms: {},
  headNorms: BLOCK_NAMES.headNorms,
  postNorms: BLOCK_NAMES.postNorms,
};
const LLAMA_BLOCK: BlockNames = {
  ...BLOCK_NAMES,
  headNorms: {},
  postNorms: {},
  layerInput: {},
  convolution: {},
  deltaNet: {},
  stateSpace: {},
};

/** Tensors whose presence in a file means that projections have biases, in blocks like Llama's. */
export const BIAS_SWITCHES = { attention_bias: "attn_q.bias", mlp_bias: "ffn_up.bias" } as const;

/** A feed-forward part of experts: its modules and settings. */
export const EXPERTS = {
  names: {
    ffn_gate_inp: "mlp.gate",
    ffn_gate_exps: "mlp.experts.*.gate_proj",
    ffn_up_exps: "mlp.experts.*.up_proj",
    ffn_down_exps: "mlp.experts.*.down_proj",
  },
  changes: { ffn_gate_exps: "stacked", ffn_up_exps: "stacked", ffn_down_exps: "stacked" },
  settings: { expert_count: count("num_experts"), expert_used_count: count("num_experts_per_tok") },
} as const;

/** Numbers in files for routing by softmax and by sigmoid. */
export const EXPERT_GATING = { softmax: 1, sigmoid: 2 } as const;

/** The expert shared by all tokens; its gate has one row, which files hold as a vector. */
export const SHARED_EXPERT = {
  names: {
    ffn_gate_inp_shexp: "mlp.shared_expert_gate",
    ffn_gate_shexp: "mlp.shared_expert.gate_proj",
    ffn_up_shexp: "mlp.shared_expert.up_proj",
    ffn_down_shexp: "mlp.shared_expert.down_proj",
  },
  changes: { ffn_gate_inp_shexp: "row" },
} as const;

/** Experts shared by all tokens, as one feed-forward part. */
export const SHARED_EXPERTS = {
  ffn_gate_shexp: "mlp.shared_experts.gate_proj",
  ffn_up_shexp: "mlp.shared_experts.up_proj",
  ffn_down_shexp: "mlp.shared_experts.down_proj",
};

/** Changes to rows of queries and keys for readers that rotate neighbouring pairs. */
export const NEIGHBOUR_ROWS = { attn_q: "query-rows", attn_k: "key-rows" } as const;

const SIZES = {
  block_count: count("num_hidden_layers"),
  context_length: count("max_position_embeddings"),
  embedding_length: count("hidden_size"),
  feed_forward_length: count("intermediate_size"),
  "attention.head_count": count("num_attention_heads"),
};
/** Settings of decoders that rotate heads and share keys. */
const ROTATED = {
  "attention.head_count_kv": count("num_key_value_heads", { sameAs: "num_attention_heads" }),
  "rope.freq_base": real("rope_theta", 10000),
};
const RMS_NORMS = { "attention.layer_norm_rms_epsilon": real("rms_norm_eps") };
/** Settings of decoders whose norms subtract the mean. */
export const LAYER_NORMS = { "attention.layer_norm_epsilon": real("rms_norm_eps") };

/** The rules that a decoder states for its files. */
export interface DecoderRules extends Partial<
  Pick<
    GgufRules,
    | "toldBy"
    | "tensorsInSettings"
    | "keys"
    | "rotated"
    | "hasYarnMultiplier"
    | "idle"
    | "fixed"
    | "switches"
    | "gaps"
    | "blocksBehind"
    | "valueHeads"
    | "keyRows"
    | "numGroups"
    | "folding"
    | "instead"
    | "withExperts"
    | "complete"
    | "takesSpacesAfter"
    | "values"
  >
> {
  readonly architecture: string;
  /** The first of `architectures` in config.json. */
  readonly className: string;
  /** Names outside the blocks; default: the usual ones. */
  readonly names?: DecoderNames;
  /** Name of the final norm in files; default: `output_norm`. */
  readonly finalNorm?: string;
  /** Further modules before the blocks: name in GGUF files → name in folders. */
  readonly besideNames?: Table<string>;
  /** Modules of a block that differ from Llama's. */
  readonly blockNames?: Partial<BlockNames>;
  /** Tensors that hold two modules of all experts: `GgufModule.below`. */
  readonly pairs?: Table<readonly [path: string, below: string]>;
  /** Tensors of a block that are not a weight or bias of a module, by their names in files. */
  readonly tensorsInBlock?: Table<string>;
  readonly changes?: Table<GgufChange>;
  /** Settings besides those that all decoders have. */
  readonly settings?: Table<GgufSetting>;
  /** The setting of the norms' epsilon; default: that of RMS norms. */
  readonly norms?: Table<GgufSetting>;
}

/** The usual rules. */
const USUAL = {
  toldBy: null,
  keys: {},
  rotated: "all-columns",
  switches: { attention_bias: "attn_q.bias" },
  complete: (config: RawConfig) => config,
  takesSpacesAfter: () => false,
  values: () => ({}),
} as const;

/** Completes the rules for a decoder's files; what it does not state is as in Llama's. */
export function decoderGguf(rules: DecoderRules): GgufRules {
  const { className, names = DECODER_NAMES, blockNames, changes = {}, norms = RMS_NORMS, ...others } = rules;
  const { tensorsInBlock = {}, pairs = {}, besideNames = {}, ...rest } = others;
  const { finalNorm: finalName = "output_norm", ...own } = rest;
  const { embedding, positions, finalNorm, blocks, head = "lm_head" } = names;
  const outside = { ...besideNames, token_embd: embedding, [finalName]: finalNorm, output: head };
  const namesInBlock = Object.assign(
    {},
    ...Object.values({ ...LLAMA_BLOCK, ...blockNames }),
  ) as Table<string>;
  const inBlock = {
    ...pairedModules(pairs),
    ...ggufModules(namesInBlock, changes),
    ...ggufModules(tensorsInBlock, changes, { isTensor: true }),
  };
  return {
    ...USUAL,
    ...own,
    outsideBlocks: ggufModules({ ...outside, ...(positions && { position_embd: positions }) }, changes),
    inBlock: { ...inBlock, ...otherExperts(inBlock) },
    blockPrefix: blocks,
    settings: { ...SIZES, ...(own.rotated === null ? {} : { ...ROTATED, ...norms }), ...own.settings },
    fixed: { architectures: [className], hidden_act: "silu", ...own.fixed },
  };
}
