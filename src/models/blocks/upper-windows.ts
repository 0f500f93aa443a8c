/** @file Blocks of which the upper ones have a window, as configured in Qwen's files. */
import type { SelfAttentionOptions } from "../../nn/self-attention.ts";
import type { DecoderFields } from "../config/hf-config.ts";
import { type WindowFields, layersByWindow } from "../config/window-config.ts";
import type { Layer, RawConfig } from "../family.ts";
import { llamaBlock } from "./decoder-blocks.ts";

/** The first layer with a window, if the file does not say. */
const FIRST_WINDOWED = 28;

/** Llama's blocks with this attention, the upper ones with a window if `use_sliding_window` is set. */
export function upperWindowBlocks(
  raw: RawConfig,
  c: DecoderFields & WindowFields,
  attention: SelfAttentionOptions,
): readonly Layer[] {
  const window = c.use_sliding_window ? (c.sliding_window ?? null) : null;
  const full = llamaBlock(c, { ...attention, window: null });
  const windowed = window === null ? full : llamaBlock(c, { ...attention, window });
  const isWindowed = (layer: number): boolean => layer >= (c.max_window_layers ?? FIRST_WINDOWED);
  return layersByWindow(raw, c, { full, windowed }, isWindowed);
}
