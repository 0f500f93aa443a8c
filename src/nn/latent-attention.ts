/**
 * @file Latent attention: keys and values of all heads are projected from a few numbers per token, and queries optionally too.
 * Part of each query is rotated, and part of each key, which all heads share.
 *
 *   [p | r] = Wq x, or Wq norm(Wa x)   [c | s] = Wc x   [n | v] = Wk norm(c)   q = [p | R(r)]   k = [n | R(s)]   Wo attention(q, k, v)
 *
 * Paper: "DeepSeek-V2", arXiv:2405.04434, section 2.1. Attention takes heads of one width, so the narrower of keys and values are
 * padded with zeros, which change no score and are cut off the output.
 */
import type { Value } from "../graph/graph.ts";
import { concat } from "../graph/ops/shapes/concat.ts";
import { expandLike } from "../graph/ops/shapes/reduce-expand.ts";
import { reshape } from "../graph/ops/shapes/reshape.ts";
import { padLike, slice } from "../graph/ops/shapes/slice-pad.ts";
import { split } from "../graph/ops/rows/split.ts";
import { dimsOf, sizeAt } from "../graph/shape.ts";
import type { Builder } from "./builder.ts";
import { rmsNorm } from "./norms.ts";
import type { RopeConfig } from "./rope/rope-tables.ts";

export interface LatentAttentionOptions {
  readonly numHeads: number;
  /** How many numbers per token queries are projected from; null: from x directly. */
  readonly queryRank: number | null;
  /** How many numbers per token keys and values are projected from. */
  readonly keyRank: number;
  /** Elements of a query or key that are not rotated. */
  readonly plainWidth: number;
  /** Elements of a value. */
  readonly valueWidth: number;
  /** How the other elements of queries and keys are rotated. */
  readonly rope: RopeConfig;
  readonly scale: number;
  /** Whether the first projections and that of the output have biases. */
  readonly bias: boolean;
}

/** The norm of the numbers that queries, or keys and values, are projected from; configurations do not have its epsilon. */
const NORM = rmsNorm(1e-6);

/** Pads heads [B, T, H, E] with zeros to the width of others, if they are narrower. */
function widened(heads: Value, like: Value): Value {
  return sizeAt(heads.shape, -1) < sizeAt(like.shape, -1) ? padLike(heads, like, 3, 0) : heads;
}

/** Builds it from x [B, T, D]; names of modules begin with `prefix`. */
export function latentAttention(
  b: Builder,
  x: Value,
  prefix: string,
  options: LatentAttentionOptions,
): Value {
  const { numHeads: H, queryRank, keyRank, plainWidth: N, valueWidth: W, rope, scale, bias } = options;
  const { width: R } = rope;
  const [B, T] = dimsOf(x.shape, 3);
  const byHead = (value: Value, width: number): Value => reshape(value, [B, T, H, width]);
  const rotated = (value: Value, numHeads: number): Value =>
    reshape(b.rotate(reshape(value, [B, T, numHeads * R]), numHeads, rope), [B, T, numHeads, R]);
  const query = (from: Value, name: string): Value =>
    b.linear(prefix + name, from, H * (N + R), { role: "query" });
  const few = (name: string, width: number): Value =>
    b.linear(prefix + name, x, width, { role: "other", bias });
  const queries =
    queryRank === null
      ? query(x, "q_proj")
      : query(NORM(b, `${prefix}q_a_layernorm`, few("q_a_proj", queryRank)), "q_b_proj");
  const [plainQuery, turnedQuery] = split(byHead(queries, N + R), 3, [N, R]);
  const [own, shared] = split(few("kv_a_proj_with_mqa", keyRank + R), 2, [keyRank, R]);
  const normed = NORM(b, `${prefix}kv_a_layernorm`, own);
  const made = b.linear(`${prefix}kv_b_proj`, normed, H * (N + W), { role: "qkv" });
  const [plainKey, value] = split(byHead(made, N + W), 3, [N, W]);
  const turned = rotated(turnedQuery, H);
  const q = concat([plainQuery, turned], 3);
  const k = concat([plainKey, expandLike(rotated(shared, 1), turned)], 3);
  const E = Math.max(N + R, W);
  const joined = (heads: Value): Value => reshape(heads, [B, T, H * E]);
  const attended = b.attend(joined(widened(q, value)), joined(widened(k, value)), joined(widened(value, k)), {
    numHeads: H,
    numKeyValueHeads: H,
    headWidth: E,
    scale,
    rope,
    comesRotated: true,
    softcap: null,
    window: null,
    causal: true,
  });
  const output = W === E ? attended : reshape(slice(byHead(attended, E), 3, 0, W), [B, T, H * W]);
  return b.linear(`${prefix}o_proj`, output, sizeAt(x.shape, -1), { role: "attention-output", bias });
}
