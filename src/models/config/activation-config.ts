/** @file Activations of feed-forward parts, by their names in configurations. */
import { z } from "zod";
import type { Value } from "../../graph/graph.ts";
import { mul, tanh } from "../../graph/ops/pointwise/elementwise.ts";
import { gelu } from "../../graph/ops/pointwise/gelu.ts";
import { relu } from "../../graph/ops/pointwise/maximum.ts";
import { silu } from "../../graph/ops/pointwise/silu.ts";

/** max(x, 0)². */
function squaredRelu(x: Value): Value {
  const positive = relu(x);
  return mul(positive, positive);
}

const tanhGelu = (x: Value): Value => gelu(x, "tanh");

const ACTIVATIONS = {
  gelu: (x: Value): Value => gelu(x, "none"),
  gelu_new: tanhGelu,
  gelu_fast: tanhGelu,
  gelu_pytorch_tanh: tanhGelu,
  relu,
  relu2: squaredRelu,
  silu,
  tanh,
};

/** The setting that names an activation. */
export const ACTIVATION = z.enum(Object.keys(ACTIVATIONS) as (keyof typeof ACTIVATIONS)[]);

/** Finds an activation. */
export function activationOf(name: z.output<typeof ACTIVATION>): (x: Value) => Value {
  return ACTIVATIONS[name];
}
