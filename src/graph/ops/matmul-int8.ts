/**
 * @file Product of rows with a matrix of 8-bit codes, in whole numbers.
 *
 *   y[m, n] = r[m] s[n] Σ_k q[m, k] c[k, n]     q = round(x / r)   r[m] = max_k |x[m, k]| / 127
 *
 * Every row of x is rounded with a scale of its own. Processors multiply an unsigned by a signed byte, so rows are
 * rounded around 128; both signed is many times slower. The gradient takes the rounding of x for the identity and is such
 * a product itself, of dy · s with the codes the other way round, where these come as an input of their own: turning them
 * round would take as long as the product. Without them it is computed in float32.
 */
import { MICROSOFT } from "../emitter.ts";
import type { Value } from "../graph.ts";
import { type NoAttributes, type Op, applyOne } from "../op.ts";
import { type Dim, evaluateDim, evaluateShape, numElements, showShape } from "../shape.ts";
import { cast } from "./cast.ts";
import { mul } from "./elementwise.ts";
import { matmul } from "./matmul.ts";

/** Largest code. */
export const INT8_LARGEST = 127;
/** The unsigned code of zero. */
const MIDDLE = 128;
/** Least scale of a row: one of zeros has codes of zero. */
const LEAST_SCALE = 1e-30;

export const matmulInt8Op: Op<
  NoAttributes,
  readonly [Value, Value, Value] | readonly [Value, Value, Value, Value]
> = {
  name: "matmulInt8",
  infer: ([x, codes, scales, back]) => {
    if (
      x.dtype !== "float32" ||
      codes.dtype !== "int8" ||
      scales.dtype !== "float32" ||
      (back && back.dtype !== "int8")
    ) {
      throw new TypeError(
        `Cannot multiply ${x.dtype} by codes ${[codes, back].map((of) => of?.dtype).join(" and ")} with scales ${scales.dtype}: expected float32, int8 and float32`,
      );
    }
    const [inner, outer] = codes.shape;
    const fits =
      x.shape.length >= 2 &&
      codes.shape.length === 2 &&
      x.shape.at(-1) === inner &&
      (!back || (back.shape.length === 2 && back.shape[0] === outer && back.shape[1] === inner)) &&
      scales.shape.length === 1 &&
      scales.shape[0] === outer;
    if (!fits) {
      throw new RangeError(
        `Cannot multiply ${showShape(x.shape)} by codes ${showShape(codes.shape)}${back ? ` and ${showShape(back.shape)}` : ""} with scales ${showShape(scales.shape)}: expected [..., in], [in, out], [out, in] and [out]`,
      );
    }
    return [{ dtype: "float32", shape: [...x.shape.slice(0, -1), outer as Dim] }];
  },
  emit: (node, emitter) => {
    const [input, { shape }] = node.inputs;
    const [x, codes, scales] = emitter.names(node.inputs);
    const [output] = emitter.names(node.outputs);
    const isFlat = input.shape.length === 2;
    const flat = isFlat ? x : emitter.value("Reshape", [x, emitter.int64([-1, shape[0] as number])]);
    const middle = emitter.constant("uint8", [], Uint8Array.of(MIDDLE));
    const largest = emitter.value("ReduceMax", [emitter.value("Abs", [flat]), emitter.int64([1])], {
      keepdims: 0,
    });
    const step = emitter.value("Mul", [largest, emitter.scalar(1 / INT8_LARGEST)]);
    const rowScales = emitter.value("Max", [step, emitter.scalar(LEAST_SCALE)]);
    const middles = emitter.value("Expand", [middle, emitter.value("Shape", [rowScales])]);
    const rows = emitter.value("QuantizeLinear", [flat, rowScales, middles], { axis: 0 });
    const factors = [rows, codes, emitter.scalar(1), scales, middle];
    const product = emitter.value("MatMulIntegerToFloat", factors, {}, MICROSOFT);
    const column = emitter.value("Unsqueeze", [rowScales, emitter.int64([1])]);
    if (isFlat) return emitter.node("Mul", [product, column], [output]);
    const y = emitter.value("Mul", [product, column]);
    const lead = emitter.value("Shape", [x], { start: 0, end: -1 });
    const outShape = emitter.value("Concat", [lead, emitter.int64([shape[1] as number])], { axis: 0 });
    return emitter.node("Reshape", [y, outShape], [output]);
  },
  multiplications: ({ inputs: [, codes], outputs: [y] }, bindings) => ({
    kind: "int8",
    count: numElements(evaluateShape(y.shape, bindings)) * evaluateDim(codes.shape[0] as Dim, bindings),
  }),
  vjp: ({ inputs: [x, codes, scales, back] }, [g]) => {
    const scaled = mul(g, scales);
    if (!back) return [matmul(scaled, cast(codes, "float32"), { transB: true }), null, null];
    const inFeatures = codes.shape[0] as number;
    const ones = x.graph.constant("float32", [inFeatures], new Float32Array(inFeatures).fill(1));
    return [applyOne(matmulInt8Op, [scaled, back, ones, codes], {}), null, null, null];
  },
};

/**
 * Multiplies x [..., in] with codes [in, out] of outputs that have a scale each, [out]: [..., out]. `back`: the codes as
 * [out, in], for the gradient of x. Codes and scales have no gradient.
 */
export function matmulInt8(x: Value, codes: Value, scales: Value, back?: Value): Value {
  return applyOne(matmulInt8Op, back ? [x, codes, scales, back] : [x, codes, scales], {});
}
