/**
 * @file Product of rows with a matrix of codes of 8 bits, in integers (int8-nodes).
 *
 * The gradient treats the rounding as the identity. It is such a product itself, of dy · s with the transposed codes, if these
 * are an input of their own, since transposing would take as long as the product. Without them it is in float32.
 */
import { FLOAT_BYTES } from "../../dtype.ts";
import type { Target } from "../../emitter.ts";
import { applyOne, type Op, type TensorType, type Value } from "../../graph.ts";
import { sizeBytesOf } from "../../peak-memory.ts";
import {
  type Bindings,
  dimAt,
  dimsOf,
  evaluateDim,
  knownShape,
  showShape,
  sizeAt,
  evaluateSize,
} from "../../shape.ts";
import { mul } from "../pointwise/elementwise.ts";
import { cast } from "../shapes/cast.ts";
import { NUM_THRESHOLDS, type RowKind, WIDEST_UNIT, emitInt8Product, emitUnitProduct } from "./int8-nodes.ts";
import { matmul } from "./matmul.ts";

/** Bytes of the unsigned copy of codes [in, out] while they are multiplied, if the target needs one. */
export function turnedBytes(codes: TensorType, bindings: Bindings, { bytePairsOverflow }: Target): number {
  return bytePairsOverflow ? sizeBytesOf(codes, bindings) : 0;
}

export const matmulInt8Op: Op<
  RowKind,
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
      outer !== undefined &&
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
    return [{ dtype: "float32", shape: [...x.shape.slice(0, -1), outer] }];
  },
  emit: (node, emitter) => {
    const [input, { shape }] = node.inputs;
    const [x, codes, scales] = emitter.names(node.inputs);
    const [output] = emitter.names(node.outputs);
    const [width, numOutputs] = dimsOf(knownShape(shape), 2);
    const form = { ...node.attributes, width };
    // A product without transposed codes is for writing text, where rows are few.
    const isForward = node.inputs.length === 3 && form.rows === "numbers" && width <= WIDEST_UNIT;
    if (isForward) return emitUnitProduct(emitter, [x, codes, scales], output, input.shape.length - 1);
    if (input.shape.length === 2) return void emitInt8Product(emitter, [x, codes, scales], form, output);
    const flat = emitter.value("Reshape", [x, emitter.int64([-1, width])]);
    const y = emitInt8Product(emitter, [flat, codes, scales], form);
    const lead = emitter.value("Shape", [x], { start: 0, end: -1 });
    const outShape = emitter.value("Concat", [lead, emitter.int64([numOutputs])], { axis: 0 });
    return emitter.node("Reshape", [y, outShape], [output]);
  },
  multiplications: ({ inputs: [, codes], outputs: [y] }, bindings) => ({
    kind: "int8",
    count: evaluateSize(y.shape, bindings) * evaluateDim(dimAt(codes.shape, 0), bindings),
  }),
  scratchBytes: ({ inputs: [x, weight], outputs: [y], attributes: { rows } }, bindings, target) => {
    const [codes, numOut] = [evaluateSize(x.shape, bindings), evaluateSize(y.shape, bindings)];
    const numbers = FLOAT_BYTES * codes;
    const turned = turnedBytes(weight, bindings, target);
    if (rows === "shares") {
      // Rows are shifted by thresholds from a table before they are rounded.
      return (
        turned +
        2 * numbers +
        codes +
        FLOAT_BYTES * NUM_THRESHOLDS * evaluateDim(dimAt(x.shape, -1), bindings)
      );
    }
    // |x|, then codes. With more than two axes, the product and the scaled product are two tensors.
    const ofRows = x.shape.length === 2 ? numbers : Math.max(numbers, codes + FLOAT_BYTES * numOut);
    return turned + ofRows;
  },
  vjp: ({ inputs: [, codes, scales, back] }, [g]) => {
    const scaled = mul(g, scales);
    if (!back) return [matmul(scaled, cast(codes, "float32"), { transB: true }), null, null];
    const factors = [scaled, back, unscaled(back), codes] as const;
    return [applyOne(matmulInt8Op, factors, { rows: "numbers" }), null, null, null];
  },
};

/**
 * Multiplies x [..., in] with codes [in, out], whose outputs have scales [out]: [..., out]. `back`: the codes as [out, in], for
 * the gradient of x. Codes and scales have no gradient.
 */
export function matmulInt8(x: Value, codes: Value, scales: Value, back?: Value): Value {
  return applyOne(matmulInt8Op, back ? [x, codes, scales, back] : [x, codes, scales], { rows: "numbers" });
}

/** Multiplies x [N, in], which must not be negative, with codes [in, out] without scales. */
export function sumSharesInt8(x: Value, codes: Value): Value {
  return applyOne(matmulInt8Op, [x, codes, unscaled(codes)], { rows: "shares" });
}

/** Scales of one for the outputs of codes [in, out]. */
function unscaled({ graph, shape }: Value): Value {
  const numOutputs = sizeAt(shape, 1);
  return graph.constant("float32", [numOutputs], new Float32Array(numOutputs).fill(1));
}
