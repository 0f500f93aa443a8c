/**
 * @file Several values times one matrix as one product:  Cᵢ = Aᵢ · op(B).  Aᵢ [..., K] may differ in their leading axes; their
 * rows are concatenated for the product, so that the matrix is read only once.
 */
import type { Op, Value, Values } from "../../graph.ts";
import { showShape, evaluateSize } from "../../shape.ts";
import { add } from "../pointwise/elementwise.ts";
import { orZeros } from "../shapes/reduce-expand.ts";
import { flattenRows, matmul } from "./matmul.ts";

type PartsAttributes = Readonly<{ transB: boolean }>;

/** Returns K and N of B, which must be known. */
function sizesOf({ shape }: Value, transB: boolean): [inner: number, outer: number] {
  const [inner, outer] = transB ? shape.toReversed() : shape;
  if (shape.length !== 2 || typeof inner !== "number" || typeof outer !== "number") {
    throw new RangeError(`Cannot multiply by ${showShape(shape)}: expected a matrix of known sizes`);
  }
  return [inner, outer];
}

export const matmulPartsOp: Op<PartsAttributes, readonly [b: Value, ...parts: Value[]], Values> = {
  name: "matmulParts",
  infer: ([b, ...parts], { transB }) => {
    const [inner, outer] = sizesOf(b, transB);
    return parts.map(({ dtype, shape }) => {
      if (shape.length < 2 || shape.at(-1) !== inner || dtype !== b.dtype) {
        throw new RangeError(
          `Cannot multiply ${dtype} ${showShape(shape)} by a matrix: expected rows of ${inner}`,
        );
      }
      return { dtype, shape: [...shape.slice(0, -1), outer] };
    });
  },
  emit: ({ inputs: [b, ...parts], outputs, attributes: { transB } }, emitter) => {
    const [inner, outer] = sizesOf(b, transB);
    const flat = parts.map((part) =>
      emitter.value("Reshape", [emitter.name(part), emitter.int64([-1, inner])]),
    );
    const counts = flat.map((rows) => emitter.value("Shape", [rows], { start: 0, end: 1 }));
    const all = [emitter.value("Concat", flat, { axis: 0 }), emitter.name(b)];
    const product = transB
      ? emitter.value("com.microsoft.FusedMatMul", all, { transA: 0, transB: 1, alpha: { float: 1 } })
      : emitter.value("MatMul", all);
    const cut = outputs.map(() => emitter.temporary());
    emitter.node("Split", [product, emitter.value("Concat", counts, { axis: 0 })], cut, { axis: 0 });
    for (const [i, output] of outputs.entries()) {
      const lead = emitter.value("Shape", [emitter.name(parts[i]!)], { start: 0, end: -1 });
      const shape = emitter.value("Concat", [lead, emitter.int64([outer])], { axis: 0 });
      emitter.node("Reshape", [cut[i]!, shape], [emitter.name(output)]);
    }
  },
  multiplications: ({ inputs: [b], outputs, attributes: { transB } }, bindings) => {
    const [inner] = sizesOf(b, transB);
    const counts = outputs.map(({ shape }) => evaluateSize(shape, bindings) * inner);
    return { kind: "float32", count: counts.reduce((sum, count) => sum + count, 0) };
  },
  vjp: ({ inputs: [b, ...parts], outputs, attributes: { transB } }, gradients) => {
    const given = orZeros(outputs, gradients);
    const ofMatrix = parts.map((part, i) => {
      const [rows, gradient] = [flattenRows(part), flattenRows(given[i]!)];
      const [left, right] = transB ? [gradient, rows] : [rows, gradient];
      return matmul(left, right, { transA: true });
    });
    return [ofMatrix.reduce(add), ...matmulParts(given, b, { transB: !transB })];
  },
};

/** Multiplies each part [..., K] by b [K, N], or its transpose as it is stored, [N, K]. */
export function matmulParts(parts: Values, b: Value, attributes: PartsAttributes): Values {
  return b.graph.apply(matmulPartsOp, [b, ...parts], attributes);
}
