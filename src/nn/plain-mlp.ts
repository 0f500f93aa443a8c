/** @file The feed-forward part of a block without a gate:  Wdown f(Wup x). */
import type { Value } from "../graph/graph.ts";
import { sizeAt } from "../graph/shape.ts";
import type { Builder, LinearOptions } from "./builder.ts";
import type { MlpOptions } from "./gated-mlp.ts";

/** Names and layout of the projections in a checkpoint. */
interface PlainMlpNames extends Pick<LinearOptions, "storedTransposed"> {
  readonly up: string;
  readonly down: string;
}

/** Builds the part from x [..., D]. */
export function plainMlp(
  b: Builder,
  x: Value,
  { up, down, ...stored }: PlainMlpNames,
  { intermediateSize, activation, bias }: MlpOptions,
): Value {
  const inner = b.linear(up, x, intermediateSize, { role: "up", bias, ...stored });
  const width = sizeAt(x.shape, -1);
  return b.linear(down, activation(inner), width, { role: "down", bias, ...stored });
}
