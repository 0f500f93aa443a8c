/**
 * @file The gated feed-forward part of a block:  Wdown (f(Wgate x) ∘ Wup x).
 *
 * Paper: "GLU Variants Improve Transformer", arXiv:2002.05202, eq. 6.
 */
import type { Value } from "../graph/graph.ts";
import { mul } from "../graph/ops/pointwise/elementwise.ts";
import { split } from "../graph/ops/rows/split.ts";
import { sizeAt } from "../graph/shape.ts";
import type { Builder, StackPlace } from "./builder.ts";

/** Sizes and activation of a feed-forward part. */
export interface MlpOptions {
  readonly intermediateSize: number;
  readonly activation: (x: Value) => Value;
  readonly bias: boolean;
  /** Names of the projections; default: `gate_proj`, `up_proj` and `down_proj`, as in Llama. */
  readonly names?: Readonly<Record<"gate" | "up" | "down", string>>;
  /** The place of each matrix of an expert in the stacks of all experts. */
  readonly stacks?: Readonly<Record<"gate" | "up" | "down", StackPlace>>;
}

const NAMES = { gate: "gate_proj", up: "up_proj", down: "down_proj" };

/** Builds it from x [..., D] with one projection for gate and up, in this order. */
export function fusedMlp(
  b: Builder,
  x: Value,
  { gateUp, down }: { readonly gateUp: string; readonly down: string },
  { intermediateSize: F, activation, bias }: Omit<MlpOptions, "names" | "stacks">,
): Value {
  const fused = b.linear(gateUp, x, 2 * F, { role: "gate-up", bias });
  const [gate, up] = split(fused, x.shape.length - 1, [F, F]);
  return b.linear(down, mul(activation(gate), up), sizeAt(x.shape, -1), { role: "down", bias });
}

/** Builds the part from x [..., D]; names of projections begin with `prefix`. */
export function gatedMlp(b: Builder, x: Value, prefix: string, options: MlpOptions): Value {
  const { intermediateSize: F, activation, bias, names = NAMES, stacks } = options;
  const gate = b.linear(prefix + names.gate, x, F, { role: "gate", bias, stack: stacks?.gate });
  const up = b.linear(prefix + names.up, x, F, { role: "up", bias, stack: stacks?.up });
  const [inner, width] = [mul(activation(gate), up), sizeAt(x.shape, -1)];
  return b.linear(prefix + names.down, inner, width, { role: "down", bias, stack: stacks?.down });
}
