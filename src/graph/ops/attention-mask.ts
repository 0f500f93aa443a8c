/**
 * @file What is added to attention scores: 0 where a query may look at a key, -1e9 where not.   → float32 [B, 1, T, S]
 *
 *   same segment, and if causal  p_key ≤ p_query,  and with a window w  p_query - p_key < w
 *
 * Segment and position are folded into one number, so that the keys that a query sees are an interval: two comparisons,
 * however many conditions. Truths are bytes; the one pass that writes floats multiplies as well (docs/log.md).
 */
import { DTYPES } from "../dtype.ts";
import type { Value } from "../graph.ts";
import { type Op, applyOne } from "../op.ts";
import { type Dim, sameShape, showShape } from "../shape.ts";

/** `causal`: keys after the query are hidden. `window`: how many keys a causal query sees, itself included. */
type MaskAttributes = Readonly<{ causal: boolean; window: number | null }>;

/** Segments and positions, all int32 or all int64. */
export interface MaskInputs {
  /** [B, T] */
  readonly querySegments: Value;
  readonly queryPositions: Value;
  /** [B, S] */
  readonly keySegments: Value;
  readonly keyPositions: Value;
}

/** Score of a key that may not be seen: its weight rounds to zero. */
const MASKED = -1e9;
/** Numbers of one segment. 4096 segments then fit into int32, which is compared faster than int64. */
const STRIDE = 2 ** 20;

type MaskOp = Op<MaskAttributes, readonly [Value, Value, Value, Value]>;

export const attentionMaskOp: MaskOp = {
  name: "attentionMask",
  infer: (inputs, { causal, window }) => {
    const [segments, positions, keySegments, keyPositions] = inputs;
    const { dtype } = segments;
    const [B, T] = segments.shape as [Dim, Dim];
    const S = keySegments.shape[1] as Dim;
    const fits =
      (dtype === "int32" || dtype === "int64") &&
      inputs.every((value) => value.dtype === dtype && value.shape.length === 2) &&
      sameShape(positions.shape, segments.shape) &&
      [keySegments, keyPositions].every(({ shape }) => sameShape(shape, [B, S]));
    if (!fits) {
      const found = inputs.map((value) => `${value.dtype} ${showShape(value.shape)}`).join(", ");
      throw new RangeError(
        `Cannot mask ${found}: expected [B, T] twice and [B, S] twice, all int32 or int64`,
      );
    }
    if (window !== null && !(causal && Number.isInteger(window) && window > 0)) {
      throw new RangeError(
        `Cannot mask a window of ${window} keys: expected at least 1, in causal attention`,
      );
    }
    return [{ dtype: "float32", shape: [B, 1, T, S] }];
  },
  emit: (node, emitter) => {
    const { causal, window } = node.attributes;
    const [segments, positions, keySegments, keyPositions] = node.inputs;
    const emit = (opType: string, ...inputs: readonly string[]): string => emitter.value(opType, inputs);
    const narrow = (value: Value): string => {
      const name = emitter.name(value);
      return value.dtype === "int32" ? name : emitter.value("Cast", [name], { to: DTYPES.int32.onnx });
    };
    const int32 = (value: number): string => emitter.constant("int32", [], Int32Array.of(value));
    const rows = (vector: string): string => emit("Unsqueeze", vector, emitter.int64([1, 3])); // [B, 1, T, 1]
    const columns = (vector: string): string => emit("Unsqueeze", vector, emitter.int64([1, 2])); // [B, 1, 1, S]
    const firstSeen = (position: string, size: number): string =>
      emit("Max", emit("Sub", position, int32(Math.min(size, STRIDE) - 1)), int32(0));
    const interval = (): string => {
      const position = narrow(positions);
      const start = emit("Mul", narrow(segments), int32(STRIDE));
      const last = emit("Add", start, position);
      const first = window === null ? start : emit("Add", start, firstSeen(position, window));
      const keyStart = emit("Mul", narrow(keySegments), int32(STRIDE));
      const key = columns(emit("Add", keyStart, narrow(keyPositions)));
      return emit("And", emit("GreaterOrEqual", key, rows(first)), emit("LessOrEqual", key, rows(last)));
    };
    const seen = causal ? interval() : emit("Equal", columns(narrow(keySegments)), rows(narrow(segments)));
    const bytes = emitter.value("Cast", [seen], { to: DTYPES.uint8.onnx });
    // (seen - 1) · 1e9
    const one = emitter.constant("uint8", [], Uint8Array.of(1));
    const scale = emitter.scalar(-MASKED);
    emitter.node("DequantizeLinear", [bytes, scale, one], emitter.names(node.outputs));
  },
  vjp: "not-differentiable",
};

/**
 * Makes the mask of queries over keys. Positions lie in 0 … 2^20 - 1, segments in -2048 … 2047; padding with a segment of
 * its own sees padding, which keeps its softmax finite. int32 saves a cast.
 */
export function attentionMask(inputs: MaskInputs, attributes: MaskAttributes): Value {
  const { querySegments, queryPositions, keySegments, keyPositions } = inputs;
  return applyOne(attentionMaskOp, [querySegments, queryPositions, keySegments, keyPositions], attributes);
}
