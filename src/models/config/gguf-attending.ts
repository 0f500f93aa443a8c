/** @file Which layers attend, in GGUF files of models where not all do: those with key heads. */
import type { AttentionOptions } from "../../nn/builder.ts";
import type { GgufSetting } from "./gguf-rules.ts";
import type { RawConfig } from "./raw-config.ts";

/** A number for each layer. */
export const KEY_HEADS = {
  "attention.head_count_kv": { key: "key_heads", type: "int32s", absent: "refused" },
} as const satisfies Readonly<Record<string, GgufSetting>>;

/** Converts them to the settings of config.json, where layers are of the given types. */
export function readKeyHeads(
  { key_heads: heads, ...config }: RawConfig,
  types: { readonly attention: string; readonly other: string },
): RawConfig {
  const numHeads = heads as readonly number[];
  return {
    ...config,
    num_key_value_heads: numHeads.reduce((most, num) => Math.max(most, num), 1),
    layer_types: numHeads.map((num) => (num > 0 ? types.attention : types.other)),
  };
}

/** Makes them from a list of which layers attend. */
export function writeKeyHeads(
  attends: readonly boolean[],
  attention: readonly AttentionOptions[],
): { readonly key_heads: readonly number[] } {
  const numHeads = attention[0]?.numKeyValueHeads ?? 0;
  return { key_heads: attends.map((does) => (does ? numHeads : 0)) };
}
