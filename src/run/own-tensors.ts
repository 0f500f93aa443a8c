/** @file The tensors of a block that an adapter has values of its own for. */
import type { BaseModel } from "../models/base-model.ts";
import type { BlockGraph } from "../models/block-graph.ts";
import type { Overlay } from "../peft/attach.ts";
import type { HostTensor } from "../runtime/host-tensor.ts";

/** Finds what a block's program takes from the adapter instead of the base, by name in the block; views. */
export function ownTensors(
  base: BaseModel,
  adapter: Overlay | null,
  layer: number,
  block: BlockGraph,
): Record<string, HostTensor> {
  const own: Record<string, HostTensor> = {};
  if (!adapter) return own;
  const prefix = base.architecture.names.blockPrefix(layer);
  for (const name of Object.keys({ ...block.tensors, ...block.adapter })) {
    const tensor = adapter.input(prefix + name);
    if (tensor) own[name] = tensor;
  }
  return own;
}
