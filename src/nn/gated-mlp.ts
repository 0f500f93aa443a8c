/**
 * @file The gated feed-forward part of a block:  Wdown (f(Wgate x) ∘ Wup x).
 *
 * Paper: "GLU Variants Improve Transformer", arXiv:2002.05202, eq. 6.
 */
import type { Value } from "../graph/graph.ts";
import { mul } from "../graph/ops/elementwise.ts";
import type { Builder } from "./builder.ts";

/** Sizes and activation of a feed-forward part. */
export interface MlpOptions {
  readonly intermediateSize: number;
  readonly activation: (x: Value) => Value;
  readonly bias: boolean;
}

/** Builds the part from x [..., D]; projections `gate_proj`, `up_proj` and `down_proj` behind `prefix`. */
export function gatedMlp(b: Builder, x: Value, prefix: string, options: MlpOptions): Value {
  const { intermediateSize: F, activation, bias } = options;
  const gate = b.linear(`${prefix}gate_proj`, x, F, { role: "gate", bias });
  const up = b.linear(`${prefix}up_proj`, x, F, { role: "up", bias });
  const width = x.shape.at(-1) as number;
  return b.linear(`${prefix}down_proj`, mul(activation(gate), up), width, { role: "down", bias });
}
