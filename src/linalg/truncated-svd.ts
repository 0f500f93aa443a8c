/**
 * @file The leading singular values and vectors of a matrix:  W ≈ Σ σ_i u_i v_iᵀ.
 *
 * Small matrices are decomposed completely, large ones by a block Krylov method. A basis grows by products with W Wᵀ (of the
 * smaller side), each block made orthogonal to all earlier ones, until the leading Ritz vectors in its span are eigenvectors of W
 * Wᵀ to float accuracy.
 *
 * Paper: "Randomized Block Krylov Methods for Stronger and Faster Approximate Singular Value Decomposition", arXiv:1504.05477.
 */
import { EigenvalueDecomposition, Matrix, SingularValueDecomposition } from "ml-matrix";
import type { Random } from "../random.ts";
import { transposed } from "./transposed.ts";

/** A singular value with its vectors: W v = σ u. */
export interface SingularTriplet {
  readonly value: number;
  /** One number per row of the matrix; unit length. */
  readonly left: Float64Array;
  /** One number per column; unit length, or zeros where the value is 0. */
  readonly right: Float64Array;
}

type Four = [Float64Array, Float64Array, Float64Array, Float64Array];

/** Matrices whose smaller side is at most this are decomposed completely. */
const WHOLE_SIZE = 64;
/** Vectors that are multiplied by the matrix together. */
const BLOCK = 4;
/** Blocks between two convergence checks. */
const BLOCKS_PER_CHECK = 4;
/** Accepted residual of an eigenvector, relative to its eigenvalue, plus rounding error relative to the largest one. */
const TOLERANCE = 1e-7;
const ROUNDING = 1e-13;

/**
 * Computes the `rank` leading singular triplets of a matrix, row-major [rows, columns], largest first. `rank` is at most the
 * smaller side. The sign of each pair of vectors is arbitrary.
 */
export function truncatedSvd(
  weight: Float32Array,
  [rows, columns]: readonly [number, number],
  rank: number,
  random: Random,
): SingularTriplet[] {
  const size = Math.min(rows, columns);
  if (rank > size) throw new RangeError(`Cannot take ${rank} singular values of [${rows}, ${columns}]`);
  if (size <= WHOLE_SIZE) return wholeSvd(weight, rows, columns, rank);
  const isWide = rows <= columns;
  const along = Float64Array.from(weight);
  const across = Float64Array.from(transposed(weight, rows, columns));
  // The smaller side first: [size, other].
  const [wide, tall] = isWide ? [along, across] : [across, along];
  const vectors = leadingVectors({ wide, tall, size }, rank, random);
  return vectors.map((vector) => {
    const image = multiply(tall, [vector])[0]!;
    const value = Math.sqrt(dot(image, image));
    if (value > 0) scale(image, 1 / value);
    const [left, right] = isWide ? [vector, image] : [image, vector];
    return { value, left, right };
  });
}

function wholeSvd(weight: Float32Array, rows: number, columns: number, rank: number): SingularTriplet[] {
  const matrix = Matrix.from1DArray(rows, columns, weight);
  const { diagonal, leftSingularVectors, rightSingularVectors } = new SingularValueDecomposition(matrix, {
    autoTranspose: true,
  });
  return Array.from({ length: rank }, (_, i) => ({
    value: diagonal[i]!,
    left: Float64Array.from(leftSingularVectors.getColumn(i)),
    right: Float64Array.from(rightSingularVectors.getColumn(i)),
  }));
}

/** W [size, other] with its transpose. */
interface BothWays {
  readonly wide: Float64Array;
  readonly tall: Float64Array;
  readonly size: number;
}

/** The subspace that is searched for eigenvectors of W Wᵀ. */
interface Subspace {
  readonly basis: Float64Array[];
  /** W Wᵀ times each vector of the basis. */
  readonly images: Float64Array[];
  /** Products of the basis with its images, lower triangle. */
  readonly products: number[][];
}

/** Computes the leading eigenvectors of W Wᵀ. */
function leadingVectors({ wide, tall, size }: BothWays, rank: number, random: Random): Float64Array[] {
  const space: Subspace = { basis: [], images: [], products: [] };
  const { basis, images, products } = space;
  let next = Array.from({ length: BLOCK }, () => new Float64Array(size));
  for (let numBlocks = 1; ; numBlocks++) {
    const block = orthonormal(next, basis, random);
    const image = multiply(wide, multiply(tall, block));
    for (const [i, vector] of block.entries()) {
      basis.push(vector);
      images.push(image[i]!);
      products.push(images.map((each) => dot(vector, each)));
    }
    const isWhole = basis.length === size;
    if (isWhole || (numBlocks % BLOCKS_PER_CHECK === 0 && basis.length >= 2 * rank)) {
      const found = ritz(space, rank, { isWhole });
      if (found) return found;
    }
    next = image.slice(0, size - basis.length).map((each) => each.slice());
  }
}

/** Computes the leading Ritz vectors in the span of the basis; null when one has not converged to an eigenvector. */
function ritz(
  { basis, images, products }: Subspace,
  rank: number,
  { isWhole }: { readonly isWhole: boolean },
): Float64Array[] | null {
  const matrix = Matrix.zeros(basis.length, basis.length);
  products.forEach((row, i) => row.forEach((value, j) => matrix.set(i, j, value).set(j, i, value)));
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(matrix, {
    assumeSymmetric: true,
  });
  const order = realEigenvalues.map((_, i) => i).sort((a, b) => realEigenvalues[b]! - realEigenvalues[a]!);
  const largest = realEigenvalues[order[0]!]!;
  const found: Float64Array[] = [];
  // Begins with the smallest, which converges last and so is the most likely to fail.
  for (const i of order.slice(0, rank).reverse()) {
    const value = realEigenvalues[i]!;
    const weights = eigenvectorMatrix.getColumn(i);
    const vector = combine(basis, weights);
    const residual = combine(images, weights);
    addScaled(residual, vector, -value);
    const error = Math.sqrt(dot(residual, residual));
    if (!isWhole && error > TOLERANCE * value + ROUNDING * largest) return null;
    scale(vector, 1 / Math.sqrt(dot(vector, vector)));
    found.unshift(vector);
  }
  return found;
}

/** Makes a block orthonormal, and orthogonal to the basis; a vector that vanishes is replaced by a random one. */
function orthonormal(
  block: readonly Float64Array[],
  basis: readonly Float64Array[],
  random: Random,
): Float64Array[] {
  const made: Float64Array[] = [];
  for (const vector of block) {
    let before = Math.sqrt(dot(vector, vector));
    for (let isDone = false; !isDone;) {
      // Done twice, against cancellation: "twice is enough" (Kahan and Parlett).
      const others = [...basis, ...made];
      for (const other of [...others, ...others]) addScaled(vector, other, -dot(vector, other));
      const length = Math.sqrt(dot(vector, vector));
      isDone = length > 1e-10 * before;
      if (isDone) scale(vector, 1 / length);
      else vector.forEach((_, i) => (vector[i] = random.normal()));
      before = 1;
    }
    made.push(vector);
  }
  return made;
}

/** Multiplies a matrix [rows, inner] by vectors [inner], four in each pass over the matrix. */
function multiply(matrix: Float64Array, vectors: readonly Float64Array[]): Float64Array[] {
  const inner = vectors[0]!.length;
  const rows = matrix.length / inner;
  const results: Float64Array[] = [];
  for (let at = 0; at < vectors.length; at += BLOCK) {
    // Missing vectors are replaced by the first one.
    const [a, b, c, d] = [0, 1, 2, 3].map((i) => vectors[at + i] ?? vectors[at]!) as Four;
    const four = Array.from({ length: BLOCK }, () => new Float64Array(rows)) as Four;
    for (let row = 0; row < rows; row++) {
      const start = row * inner;
      let [sumA, sumB, sumC, sumD] = [0, 0, 0, 0];
      for (let k = 0; k < inner; k++) {
        const w = matrix[start + k]!;
        sumA += w * a[k]!;
        sumB += w * b[k]!;
        sumC += w * c[k]!;
        sumD += w * d[k]!;
      }
      four[0][row] = sumA;
      four[1][row] = sumB;
      four[2][row] = sumC;
      four[3][row] = sumD;
    }
    results.push(...four.slice(0, vectors.length - at));
  }
  return results;
}

function combine(vectors: readonly Float64Array[], weights: readonly number[]): Float64Array {
  const sum = new Float64Array(vectors[0]!.length);
  for (const [i, vector] of vectors.entries()) addScaled(sum, vector, weights[i]!);
  return sum;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

function addScaled(into: Float64Array, vector: Float64Array, factor: number): void {
  for (let i = 0; i < into.length; i++) into[i]! += factor * vector[i]!;
}

function scale(vector: Float64Array, factor: number): void {
  for (let i = 0; i < vector.length; i++) vector[i]! *= factor;
}
