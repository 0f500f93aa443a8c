/**
 * @file Matrix product  C = alpha · op(A) · op(B),  op = transpose of the last two axes or nothing; leading axes broadcast.
 *
 * ONNX Runtime's FusedMatMul takes transposes and the factor, so one stored layout of a weight serves both directions.
 */
import { applyOne, type Op, type Value } from "../../graph.ts";
import {
  type Dim,
  broadcastShapes,
  dimAt,
  evaluateDim,
  mulDims,
  showShape,
  evaluateSize,
} from "../../shape.ts";
import { sumTo } from "../shapes/reduce-expand.ts";
import { reshape } from "../shapes/reshape.ts";
import { transpose } from "../shapes/transpose.ts";

/** Transposes and factor of a product. */
interface MatmulOptions {
  readonly transA?: boolean;
  readonly transB?: boolean;
  readonly alpha?: number;
}
type MatmulAttributes = Record<string, unknown> & Required<MatmulOptions>;

export const matmulOp: Op<MatmulAttributes, readonly [Value, Value]> = {
  name: "matmul",
  infer: ([a, b], { transA, transB }) => {
    const [m, k] = lastTwo(a, transA);
    const [k2, n] = lastTwo(b, transB);
    if (k !== k2) {
      throw new RangeError(
        `Cannot multiply ${showShape(a.shape)} by ${showShape(b.shape)}: inner sizes ${k} and ${k2} differ`,
      );
    }
    const lead = broadcastShapes("multiply", a.shape.slice(0, -2), b.shape.slice(0, -2));
    return [{ dtype: a.dtype, shape: [...lead, m, n] }];
  },
  emit: (node, emitter) => {
    const { transA, transB, alpha } = node.attributes;
    if (!transA && !transB && alpha === 1) return emitter.simple(node, "MatMul");
    const attributes = { transA: Number(transA), transB: Number(transB), alpha: { float: alpha } };
    return emitter.simple(node, "com.microsoft.FusedMatMul", attributes);
  },
  multiplications: ({ inputs: [a], outputs: [y], attributes: { transA } }, bindings) => ({
    kind: "float32",
    count: evaluateSize(y.shape, bindings) * evaluateDim(lastTwo(a, transA)[1], bindings),
  }),
  vjp: ({ inputs: [a, b], attributes: { transA, transB, alpha } }, [g]) => {
    const da = transA
      ? matmul(b, g, { transA: transB, transB: true, alpha })
      : matmul(g, b, { transB: !transB, alpha });
    // For rows of a batch times one matrix: one product over all rows, instead of one per batch entry and a sum.
    const flat = b.shape.length === 2 && !transA;
    const [rows, gRows] = flat ? [flattenRows(a), flattenRows(g)] : [a, g];
    const ofB = { transA: !transA, alpha };
    if (!transB) return [sumTo(da, a.shape), sumTo(matmul(rows, gRows, ofB), b.shape)];
    const db =
      flat && isThin(b, "columns")
        ? transpose(matmul(rows, gRows, ofB), [1, 0])
        : matmul(gRows, rows, { transA: true, transB: transA, alpha });
    return [sumTo(da, a.shape), sumTo(db, b.shape)];
  },
};

/**
 * Whether a matrix is thin. With few columns, computing its gradient transposed takes half the time:
 * docs/log.md#steps-in-float32. With few rows, several such matrices can be multiplied at once.
 */
export function isThin({ shape }: Value, few: "rows" | "columns"): boolean {
  const [numRows, numColumns] = shape;
  if (shape.length !== 2 || typeof numRows !== "number" || typeof numColumns !== "number") return false;
  return few === "columns" ? 16 * numColumns <= numRows : 16 * numRows <= numColumns;
}

function lastTwo(value: Value, transposed: boolean): [Dim, Dim] {
  const [rows, columns] = value.shape.slice(-2);
  if (rows === undefined || columns === undefined) {
    throw new RangeError(`Cannot multiply ${showShape(value.shape)}: a matrix has two axes`);
  }
  return transposed ? [columns, rows] : [rows, columns];
}

/** Joins all axes but the last. */
export function flattenRows(value: Value): Value {
  if (value.shape.length === 2) return value;
  return reshape(value, [mulDims(...value.shape.slice(0, -1)), dimAt(value.shape, -1)]);
}

/**
 * Multiplies matrices: [..., M, K] by [..., K, N] (or their transposes) gives [..., M, N].
 * @throws RangeError where K or the leading axes differ, and for fewer than two axes
 */
export function matmul(a: Value, b: Value, options: MatmulOptions = {}): Value {
  return applyOne(matmulOp, [a, b], { transA: false, transB: false, alpha: 1, ...options });
}
