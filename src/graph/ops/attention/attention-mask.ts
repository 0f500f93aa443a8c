/**
 * @file ONNX nodes of what is added to attention scores: 0 where a query may look at a key, -1e9 where not.   [B, 1, T, S]
 *
 *   same segment, and if causal  p_key ≤ p_query,  and with a window w  p_query - p_key < w, if not causal  p_key - p_query < w
 *
 * Segment and position are folded into one number, so that the keys that a query sees are an interval: two comparisons, however
 * many conditions. Booleans are bytes; the one pass that writes floats also multiplies (docs/log.md#costs-of-single-operators).
 */
import { DTYPES } from "../../dtype.ts";
import type { Emitter } from "../../emitter.ts";

/** `causal`: keys after the query are hidden. `window`: how many keys a query sees on each visible side, itself included. */
interface MaskOptions {
  readonly causal: boolean;
  readonly window: number | null;
}

/** Names of segments and positions, int32 [B, T] of the queries and [B, S] of the keys. */
export interface PlaceNames {
  readonly segments: string;
  readonly positions: string;
}

/** Score of a key that may not be seen: its weight rounds to zero. */
const MASKED = -1e9;
/** Positions per segment. 4096 segments then fit into int32, which is compared faster than int64. */
const STRIDE = 2 ** 20;

/**
 * Adds the nodes. Positions lie in 0 … 2^20 - 1, segments in -2048 … 2047; padding with a segment of its own sees padding,
 * which keeps its softmax finite.
 */
export function emitMask(
  emitter: Emitter,
  queries: PlaceNames,
  keys: PlaceNames,
  { causal, window }: MaskOptions,
): string {
  const emit = (operator: string, ...inputs: readonly string[]): string => emitter.value(operator, inputs);
  const int32 = (value: number): string => emitter.constant("int32", [], Int32Array.of(value));
  const rows = (vector: string): string => emit("Unsqueeze", vector, emitter.int64([1, 3])); // [B, 1, T, 1]
  const columns = (vector: string): string => emit("Unsqueeze", vector, emitter.int64([1, 2])); // [B, 1, 1, S]
  const firstSeen = (position: string, size: number): string =>
    emit("Max", emit("Sub", position, int32(Math.min(size, STRIDE) - 1)), int32(0));
  const lastSeen = (position: string, size: number): string =>
    emit("Min", emit("Add", position, int32(Math.min(size, STRIDE) - 1)), int32(STRIDE - 1));
  const interval = (): string => {
    const start = emit("Mul", queries.segments, int32(STRIDE));
    const isLast = causal || window === null;
    const last = emit("Add", start, isLast ? queries.positions : lastSeen(queries.positions, window));
    const first = window === null ? start : emit("Add", start, firstSeen(queries.positions, window));
    const keyStart = emit("Mul", keys.segments, int32(STRIDE));
    const key = columns(emit("Add", keyStart, keys.positions));
    return emit("And", emit("GreaterOrEqual", key, rows(first)), emit("LessOrEqual", key, rows(last)));
  };
  const seen =
    causal || window !== null ? interval() : emit("Equal", columns(keys.segments), rows(queries.segments));
  const bytes = emitter.value("Cast", [seen], { to: DTYPES.uint8.onnx });
  // (seen - 1) · 1e9
  const one = emitter.constant("uint8", [], Uint8Array.of(1));
  return emit("DequantizeLinear", bytes, emitter.scalar(-MASKED), one);
}
