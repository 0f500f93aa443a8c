/**
 * @file Initial values of two thin matrices, A [R, in] and B [out, R]: random, or from the weight itself.
 *
 *   default   A uniform in ±1/√in, B 0            gaussian   A normal with deviation 1/R, B 0
 *   pissa     W ≈ U S Vᵀ:  B = U √(S/s)   A = √(S/s) Vᵀ, the R leading singular values (arXiv:2404.02948, eq. 2 and 3)
 *   olora     W = Q R:  B = Q[:, :R]   A = R[:R, :] (arXiv:2406.01775, section 3)
 *
 * The last two start with a nonzero product, which their users subtract, so that the output starts as the base's. An embedding
 * starts with A 0 and B normal.
 */
import { Matrix, QrDecomposition } from "ml-matrix";
import { UsageError } from "../../errors.ts";
import { dimsOf } from "../../graph/shape.ts";
import { countNonFinite } from "../../models/base/watch-numbers.ts";
import type { Random } from "../../random.ts";
import type { SiteStart, SiteTensors } from "../sites/site.ts";
import { truncatedSvd } from "../../linalg/truncated-svd.ts";

export const LOW_RANK_STARTS = ["default", "gaussian", "pissa", "olora"] as const;
export type LowRankStart = (typeof LOW_RANK_STARTS)[number];

/** Whether a start is made from the weight, so that its product is not zero. */
export function startsFromWeight(start: LowRankStart): boolean {
  return start === "pissa" || start === "olora";
}

/** The two matrices of a site. */
interface Factors {
  /** A [R, in] */
  readonly down: SiteTensors[string];
  /** B [out, R] */
  readonly up: SiteTensors[string];
}

/** How the matrices of a site are initialised. */
interface FactorStart {
  readonly start: LowRankStart;
  /** Matrices of a stack have rank R for each expert. */
  readonly rank: number;
  /** s */
  readonly scale: number;
}

/** Fills the matrices of a site in place; they must be zeros. @throws UsageError "usage/flag" for a start from NaN or infinite weights */
export async function fillFactors(
  { down, up }: Factors,
  site: Pick<SiteStart, "spec" | "weight">,
  { start, rank, scale }: FactorStart,
  random: Random,
): Promise<void> {
  const { spec } = site;
  const { inFeatures, outFeatures, kind } = spec;
  if (kind === "embedding") {
    up.data.forEach((_, i) => (up.data[i] = random.normal()));
  } else if (start === "gaussian") {
    down.data.forEach((_, i) => (down.data[i] = random.normal() / rank));
  } else if (start === "default") {
    const bound = 1 / Math.sqrt(inFeatures);
    down.data.forEach((_, i) => (down.data[i] = bound * (2 * random.uniform() - 1)));
  } else if (start === "pissa") {
    const weight = await numbersOf(site, start);
    const triplets = truncatedSvd(weight, [outFeatures, inFeatures], rank, random);
    for (const [i, { value, left, right }] of triplets.entries()) {
      const root = Math.sqrt(value / scale);
      down.data.set(
        right.map((v) => v * root),
        i * inFeatures,
      );
      left.forEach((u, row) => (up.data[row * rank + i] = u * root));
    }
  } else {
    fillOrthonormal({ down, up }, await numbersOf(site, start));
  }
}

/** Reads the weight, which must be finite for a decomposition. @throws UsageError "usage/flag" */
async function numbersOf(
  { spec, weight }: Pick<SiteStart, "spec" | "weight">,
  start: LowRankStart,
): Promise<Float32Array> {
  const values = await weight();
  if (countNonFinite(values) === 0) return values;
  throw new UsageError(
    "usage/flag",
    `Cannot start "${spec.name}" from its weight ("${start}"): it contains values that are NaN or infinite`,
    { hint: "Choose another init, or a model whose weights are numbers." },
  );
}

/** B: an orthonormal basis of the first R columns of W [out, in]; A = Bᵀ W. */
function fillOrthonormal({ down, up }: Factors, weight: Float32Array): void {
  const [rank, inFeatures] = dimsOf(down.shape, 2);
  const rows = weight.length / inFeatures;
  const columns = Matrix.zeros(rows, rank);
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < rank; i++) columns.set(row, i, weight[row * inFeatures + i]!);
  }
  const basis = new QrDecomposition(columns).orthogonalMatrix;
  for (let i = 0; i < rank; i++) {
    const product = new Float64Array(inFeatures);
    for (let row = 0; row < rows; row++) {
      const q = basis.get(row, i);
      up.data[row * rank + i] = q;
      const start = row * inFeatures;
      for (let k = 0; k < inFeatures; k++) product[k]! += q * weight[start + k]!;
    }
    down.data.set(product, i * inFeatures);
  }
}
