/** @file A GGUF model of one block for tests: llama, two query heads, one key head, width 4, six tokens. */
import { encodeSettings, type GgufValue } from "../../src/format/files/gguf/gguf-setting-bytes.ts";
import { type GgufEntry, ggufHeader } from "../../src/format/files/gguf/gguf-writer.ts";

/** A tensor as raw bytes, of whatever type. */
export type RawTensor = Omit<GgufEntry, "sizeBytes"> & { readonly bytes: Uint8Array };

/** Wraps plain values; whole numbers become uint32, others float32. */
export function ggufValues(
  values: Readonly<Record<string, string | number | boolean | readonly string[]>>,
): Record<string, GgufValue> {
  return Object.fromEntries(
    Object.entries(values).map(([key, value]): [string, GgufValue] => {
      if (typeof value === "string") return [key, { type: "string", value }];
      if (typeof value === "boolean") return [key, { type: "bool", value }];
      if (typeof value === "number")
        return [key, { type: Number.isInteger(value) ? "uint32" : "float32", value }];
      return [key, { type: "strings", value }];
    }),
  );
}

/** Tokens: two that control, three letters, and a merged pair. */
export const TINY_TOKENS = ["<s>", "</s>", "a", "b", "Ġ", "ab"];

export const TINY_METADATA: Record<string, GgufValue> = {
  ...ggufValues({
    "general.architecture": "llama",
    "llama.block_count": 1,
    "llama.context_length": 64,
    "llama.embedding_length": 8,
    "llama.feed_forward_length": 32,
    "llama.attention.head_count": 2,
    "llama.attention.head_count_kv": 1,
    "llama.rope.dimension_count": 4,
    "llama.vocab_size": TINY_TOKENS.length,
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "smollm",
    "tokenizer.ggml.tokens": TINY_TOKENS,
    "tokenizer.ggml.merges": ["a b"],
    "tokenizer.ggml.bos_token_id": 0,
    "tokenizer.ggml.eos_token_id": 1,
    "tokenizer.ggml.add_bos_token": true,
    "tokenizer.chat_template": "{{ messages }}",
  }),
  "llama.attention.layer_norm_rms_epsilon": { type: "float32", value: 2 ** -16 },
  "tokenizer.ggml.token_type": { type: "int32s", value: [3, 3, 1, 1, 1, 1] },
};

/** A float32 tensor whose element i is `first + i`. */
export function countingTensor(name: string, shape: readonly number[], first = 0): RawTensor {
  const numElements = shape.reduce((product, size) => product * size, 1);
  const values = Float32Array.from({ length: numElements }, (_, i) => first + i);
  return { name, ggmlType: 0, shape, bytes: new Uint8Array(values.buffer) };
}

export const TINY_TENSORS: readonly RawTensor[] = [
  countingTensor("token_embd.weight", [6, 8]),
  countingTensor("output_norm.weight", [8]),
  countingTensor("blk.0.attn_norm.weight", [8]),
  countingTensor("blk.0.attn_q.weight", [8, 8]),
  countingTensor("blk.0.attn_q.bias", [8]),
  countingTensor("blk.0.attn_k.weight", [4, 8]),
  countingTensor("blk.0.attn_v.weight", [4, 8]),
  countingTensor("blk.0.attn_output.weight", [8, 8]),
  countingTensor("blk.0.ffn_norm.weight", [8]),
  countingTensor("blk.0.ffn_gate.weight", [32, 8]),
  countingTensor("blk.0.ffn_up.weight", [32, 8]),
  { name: "blk.0.ffn_down.weight", ggmlType: 3, shape: [8, 32], bytes: new Uint8Array(8 * 20).fill(0x11) },
];

/** Builds the file; `metadata` replaces entries (null removes one). */
export function buildTinyGguf(
  metadata: Readonly<Record<string, GgufValue | null>> = {},
  tensors: readonly RawTensor[] = TINY_TENSORS,
): Buffer {
  const kept = Object.entries({ ...TINY_METADATA, ...metadata }).filter(
    (entry): entry is [string, GgufValue] => entry[1] !== null,
  );
  const settings = encodeSettings(Object.fromEntries(kept));
  const padded = (bytes: Uint8Array): Buffer =>
    Buffer.concat([bytes, Buffer.alloc(-bytes.length & (settings.alignment - 1))]);
  const entries = tensors.map((tensor) => ({ ...tensor, sizeBytes: tensor.bytes.length }));
  return Buffer.concat([ggufHeader(settings, entries), ...tensors.map(({ bytes }) => padded(bytes))]);
}
