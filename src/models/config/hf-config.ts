/**
 * @file Reads Hugging Face configuration files of transformers 4 and 5.
 *
 * A key must be known to the family, known to change no number here (`neutral-keys`), or null; any other is an error, since a
 * setting that is ignored may change what the model computes.
 */
import { z } from "zod";
import { UsageError } from "../../errors.ts";
import { MAX_HEAD_WIDTH } from "../../untrusted/limits.ts";
import { showValue } from "../../messages/expected.ts";
import { findProblems, listProblems } from "../../messages/problems.ts";
import { isNeutral } from "./neutral-keys.ts";
import type { RawConfig } from "./raw-config.ts";

/**
 * Parses a configuration, whose keys must be those of the schema or neutral; `keys` maps the schema's usual keys to other names
 * in files.
 * @throws UsageError "usage/model" that lists every problem.
 */
export function parseConfig<S extends z.ZodObject>(
  schema: S,
  raw: RawConfig,
  keys: Readonly<Record<string, string>> = {},
): z.output<S> {
  const config = { ...raw };
  const ofOthers: string[] = [];
  for (const [key, inFile] of Object.entries(keys).filter(([, name]) => name in raw)) {
    if (raw[key] != null && raw[key] !== raw[inFile]) ofOthers.push(key);
    config[key] = raw[inFile];
    delete config[inFile];
  }
  const nameOf = ([key = "", ...inner]: readonly string[]): string =>
    [key in raw ? key : (keys[key] ?? key), ...inner].join(".");
  const problems = [...listProblems(findProblems(schema, config), nameOf)];
  const unknown = Object.keys(config).filter((key) => !(key in schema.shape) && !isNeutral(key, config[key]));
  problems.push(
    ...[...ofOthers, ...unknown].map((key) => `${key} is ${showValue(raw[key])} (unknown setting)`),
  );
  if (problems.length === 0) return schema.parse(config);
  throw unusable(raw, problems.join("; "));
}

/** The error for a configuration with values that are not implemented. */
export function unusable(
  raw: RawConfig,
  found: string,
  hint = "Check config.json; only what the message names is missing from graft.",
): UsageError {
  return new UsageError(
    "usage/model",
    `Cannot use the configuration of this "${String(raw["model_type"])}" model: ${found}`,
    { hint },
  );
}

const count = z.int().positive();

/** Sizes that all models of text have. */
export const SIZE_FIELDS = {
  vocab_size: count,
  hidden_size: count,
  num_hidden_layers: count,
  num_attention_heads: count,
};

/** Names of these settings in config.json of early models. */
export const EARLY_KEYS = {
  hidden_size: "n_embd",
  num_hidden_layers: "n_layer",
  num_attention_heads: "n_head",
  max_position_embeddings: "n_positions",
  intermediate_size: "n_inner",
  hidden_act: "activation_function",
};

/** A check for `refine`: the number of heads must divide the width. */
export const HEADS_DIVIDE_WIDTH: [
  (c: { readonly hidden_size: number; readonly num_attention_heads: number }) => boolean,
  { path: string[]; message: string },
] = [
  (c) => c.hidden_size % c.num_attention_heads === 0,
  { path: ["num_attention_heads"], message: "expected a divisor of the width" },
];

/** Settings of all decoders, including the rotary ones that `readRope` reads. */
export const DECODER_FIELDS = {
  ...SIZE_FIELDS,
  intermediate_size: count,
  hidden_act: z.literal("silu").default("silu"),
  num_key_value_heads: count.nullish(),
  head_dim: count.nullish(),
  rms_norm_eps: z.number().positive().default(1e-6),
  max_position_embeddings: count.default(2048),
  tie_word_embeddings: z.boolean().default(false),
  rope_theta: z.number().positive().nullish(),
  rope_scaling: z.record(z.string(), z.unknown()).nullish(),
  rope_parameters: z.record(z.string(), z.unknown()).nullish(),
  rope_interleaved: z.literal(false).default(false),
};

/** Which projections have biases, in blocks like Llama's. */
export const BIAS_FIELDS = {
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
};

/** Parsed `DECODER_FIELDS` with any activation, and those of `BIAS_FIELDS` that a family has. */
export type DecoderFields = Omit<z.output<z.ZodObject<typeof DECODER_FIELDS>>, "hidden_act"> &
  Partial<z.output<z.ZodObject<typeof BIAS_FIELDS>>>;

/** Returns the sizes of the heads. @throws UsageError "usage/model" for heads that cannot be shared or rotated */
export function headSizes(
  raw: RawConfig,
  c: DecoderFields,
): { readonly numHeads: number; readonly numKeyValueHeads: number; readonly headWidth: number } {
  const numHeads = c.num_attention_heads;
  const numKeyValueHeads = c.num_key_value_heads ?? numHeads;
  const headWidth = c.head_dim ?? c.hidden_size / numHeads;
  if (numHeads % numKeyValueHeads !== 0) {
    throw unusable(
      raw,
      `num_key_value_heads is ${numKeyValueHeads} (expected a divisor of num_attention_heads)`,
    );
  }
  if (headWidth > MAX_HEAD_WIDTH) {
    throw unusable(raw, `hidden_size is ${c.hidden_size} (expected heads of at most ${MAX_HEAD_WIDTH})`);
  }
  if (headWidth % 2 !== 0) {
    const found =
      c.head_dim == null
        ? `hidden_size is ${c.hidden_size} for num_attention_heads ${numHeads}`
        : `head_dim is ${headWidth}`;
    throw unusable(raw, `${found} (expected an even width of each head, for its rotation)`);
  }
  return { numHeads, numKeyValueHeads, headWidth };
}
