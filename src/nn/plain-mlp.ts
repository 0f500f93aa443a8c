/** @file The feed-forward part of a block without a gate:  Wdown f(Wup x). */
import type { Value } from "../graph/graph.ts";
import { sizeAt } from "../graph/shape.ts";
import type { Builder, LinearOptions } from "./builder.ts";
import type { MlpOptions } from "./gated-mlp.ts";

/** Builds the part from x [..., D]. */
export function plainMlp(
  b: Builder,
  x: Value,
  names: { readonly up: string; readonly down: string },
  { intermediateSize, activation, bias }: MlpOptions,
  stored: Pick<LinearOptions, "storedTransposed"> = {},
): Value {
  const inner = b.linear(names.up, x, intermediateSize, { role: "up", bias, ...stored });
  const width = sizeAt(x.shape, -1);
  return b.linear(names.down, activation(inner), width, { role: "down", bias, ...stored });
}
