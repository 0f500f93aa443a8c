/** @file Settings for layers whose attention has a window. */
import { z } from "zod";
import { type LayerTypes, requireTypesOfAll } from "./layer-types.ts";
import type { RawConfig } from "./raw-config.ts";

/** Settings that say which layers have a window. */
export const WINDOW_FIELDS = {
  sliding_window: z.int().positive().nullish(),
  use_sliding_window: z.boolean().nullish(),
  max_window_layers: z.int().min(0).nullish(),
  layer_types: z.array(z.enum(["sliding_attention", "full_attention"])).nullish(),
};

/** `WINDOW_FIELDS` as they are read. */
export type WindowFields = z.output<z.ZodObject<typeof WINDOW_FIELDS>>;

/** Tells which layers have a window; `isWindowed` decides if the file does not say. @throws UsageError "usage/model" */
export function windowedLayers(
  raw: RawConfig,
  c: LayerTypes,
  isWindowed: (layer: number) => boolean,
): readonly boolean[] {
  requireTypesOfAll(raw, c);
  const { layer_types: types, num_hidden_layers: numLayers } = c;
  return Array.from({ length: numLayers }, (_, layer) =>
    types ? types[layer] === "sliding_attention" : isWindowed(layer),
  );
}

/** Lists `full` or `windowed` for each layer; `isWindowed` as for `windowedLayers`. @throws UsageError "usage/model" */
export function layersByWindow<T>(
  raw: RawConfig,
  c: LayerTypes,
  { full, windowed }: { readonly full: T; readonly windowed: T },
  isWindowed: (layer: number) => boolean,
): readonly T[] {
  return windowedLayers(raw, c, isWindowed).map((has) => (has ? windowed : full));
}
