/**
 * @file The best approximation of a product of thin matrices at a lower rank, without forming the product.
 *
 *   up · down = Q₁ (R₁ R₂ᵀ) Q₂ᵀ     up = Q₁ R₁   downᵀ = Q₂ R₂     R₁ R₂ᵀ = U S Vᵀ
 *
 * The small middle is decomposed, and its smallest singular values, which are those of the product, are cut off.
 */
import { Matrix, QrDecomposition, SingularValueDecomposition } from "ml-matrix";
import { sizeAt } from "../../graph/shape.ts";
import { hostTensor } from "../../runtime/host-tensor.ts";
import type { FactorPair } from "./contract.ts";

/** Factors of a lower rank, and what was lost. */
export interface Truncation {
  readonly pair: FactorPair;
  /** Σ σ² of the whole, its squared Frobenius norm. */
  readonly totalSquared: number;
  /** Σ σ² of what was cut off. */
  readonly lostSquared: number;
}

/** Truncates scale · up · down to `rank` or less; the scale of the result is 1: up = Q₁ U S, down = Vᵀ Q₂ᵀ. Fresh. */
export function truncate({ down, up, scale }: FactorPair, rank: number): Truncation {
  const [left, right] = [thinQr(toMatrix(up)), thinQr(toMatrix(down).transpose())];
  const middle = left.r.mmul(right.r.transpose()).mul(scale);
  const svd = new SingularValueDecomposition(middle, { autoTranspose: true });
  const values = svd.diagonal;
  const kept = Math.min(rank, values.length);
  const columns = Array.from({ length: kept }, (_, i) => i);
  const pick = (matrix: Matrix): Matrix => matrix.subMatrixColumn(columns);
  const newUp = left.q.mmul(pick(svd.leftSingularVectors)).mulRowVector(values.slice(0, kept));
  const newDown = right.q.mmul(pick(svd.rightSingularVectors)).transpose();
  const squares = values.map((value) => value ** 2);
  return {
    pair: { down: toTensor(newDown), up: toTensor(newUp), scale: 1 },
    totalSquared: sum(squares),
    lostSquared: sum(squares.slice(kept)),
  };
}

/** A = Q R with orthonormal columns of Q; for a matrix that is wider than high R is the matrix itself. */
function thinQr(matrix: Matrix): { q: Matrix; r: Matrix } {
  if (matrix.rows < matrix.columns) return { q: Matrix.eye(matrix.rows), r: matrix };
  const qr = new QrDecomposition(matrix);
  return { q: qr.orthogonalMatrix, r: qr.upperTriangularMatrix };
}

function toMatrix({ shape, data }: FactorPair["up"]): Matrix {
  return Matrix.from1DArray(sizeAt(shape, 0), sizeAt(shape, 1), data);
}

function toTensor(matrix: Matrix): FactorPair["up"] {
  return hostTensor("float32", [matrix.rows, matrix.columns], Float32Array.from(matrix.to1DArray()));
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, value) => total + value, 0);
}
