/** @file The setting `layer_types`, which names the kind of each layer. */
import { type DecoderFields, unusable } from "./hf-config.ts";
import type { RawConfig } from "./raw-config.ts";

/** The settings that tell the kind of each layer. */
export type LayerTypes = Pick<DecoderFields, "num_hidden_layers"> & {
  readonly layer_types?: readonly string[] | null | undefined;
};

/** Requires that kinds are named for all layers or for none. @throws UsageError "usage/model" */
export function requireTypesOfAll(raw: RawConfig, c: LayerTypes): void {
  const { layer_types: types, num_hidden_layers: numLayers } = c;
  if (!types || types.length === numLayers) return;
  throw unusable(
    raw,
    `layer_types has ${types.length} entries (expected ${numLayers}, the number of layers)`,
  );
}
