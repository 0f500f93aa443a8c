/**
 * @file Biases of attention scores by distance: a number for each head, or products with keys and queries of distances, projected
 * from a table.
 *
 *   N[r(i-j), h]      s (qᵢ·K[r(i-j)] + kⱼ·Q[r(i-j)]),  K = Wk P + b,  Q = Wq P + b      r: the row of a distance
 *
 * The tokens of an example are contiguous, so indices in a row give distances. Papers: "T5", arXiv:1910.10683, section 2.1;
 * "DeBERTa", arXiv:2006.03654, section 3.1.
 */
import type { Value } from "../graph/graph.ts";
import { distanceGrid, distanceRows } from "../graph/ops/attention/distance-rows.ts";
import { relativeShift } from "../graph/ops/attention/relative-shift.ts";
import { add } from "../graph/ops/pointwise/elementwise.ts";
import { matmul } from "../graph/ops/products/matmul.ts";
import { gatherRows } from "../graph/ops/rows/gather-scatter.ts";
import { reshape } from "../graph/ops/shapes/reshape.ts";
import { transpose } from "../graph/ops/shapes/transpose.ts";
import { dimsOf, sizeAt } from "../graph/shape.ts";
import type { Builder, SiteRole } from "./builder.ts";

/** Maps distances to rows of a table. */
export interface DistanceRows {
  /** The row for a query that is `distance` tokens after a key. */
  readonly rowOf: (distance: number) => number;
  /** From this distance on, all distances on the same side share a row. */
  readonly reach: number;
}

/** Builds the bias of the scores, [1 or B, H, T, T]. */
type BiasOf = (b: Builder, query: Value, key: Value) => Value;

/** A projection of the table. */
interface TableProjection {
  readonly name: string;
  readonly role: SiteRole;
}

interface DistanceTerms {
  readonly rows: DistanceRows;
  /** Builds the table, [1, R, D]. */
  readonly table: (b: Builder) => Value;
  readonly numHeads: number;
  readonly scale: number;
  /** The projections that make keys and queries of distances; at most one is null (absent). */
  readonly key: TableProjection | null;
  readonly query: TableProjection | null;
}

/** Lists the rows for the distances `sign` times -P … P-1. */
function rowNumbers({ rowOf, reach }: DistanceRows, sign: 1 | -1): BigInt64Array {
  const half = reach + 1;
  return BigInt64Array.from({ length: 2 * half }, (_, place) => BigInt(rowOf(sign * (place - half))));
}

/** Biases from a table [R, H], as [1, H, T, T] for queries [B, T, H·E]; `name` is that of its module. */
export function headBias(rows: DistanceRows, name: string, shape: readonly [number, number]): BiasOf {
  const numbers = rowNumbers(rows, -1);
  return (b, query) => {
    const table = b.tensor(`${name}.weight`, shape, "embedding");
    const { graph } = query;
    const chosen = distanceGrid(graph.constant("int64", [numbers.length], numbers), query);
    const byPair = transpose(gatherRows(table, chosen), [2, 0, 1]);
    return reshape(byPair, [1, ...byPair.shape]);
  };
}

/** Sums the terms, [B, H, T, T], for queries and keys [B, T, H·E]. */
export function distanceBias(terms: DistanceTerms): BiasOf {
  const { rows, numHeads: H, scale } = terms;
  const [ofKeys, ofQueries] = [rowNumbers(rows, -1), rowNumbers(rows, 1)];
  return (b, query, key) => {
    const table = terms.table(b);
    /** The scores of x with projected distances, [B, H, T, T]: token of x, then the token it is compared with. */
    const compared = (x: Value, { name, role }: TableProjection, numbers: BigInt64Array): Value => {
      const [B, T] = dimsOf(x.shape, 3);
      const width = sizeAt(x.shape, -1);
      const heads = transpose(reshape(x, [B, T, H, width / H]), [0, 2, 1, 3]);
      const projected = transpose(b.linear(name, table, width, { role, bias: true }), [1, 0, 2]);
      const chosen = distanceRows(x.graph.constant("int64", [numbers.length], numbers), x);
      const ofDistances = gatherRows(projected, chosen); // [2T, 1, H·E]
      const [M, A] = dimsOf(ofDistances.shape, 3);
      const byHead = transpose(reshape(ofDistances, [M, A, H, width / H]), [1, 2, 0, 3]);
      return relativeShift(matmul(heads, byHead, { transB: true, alpha: scale }));
    };
    const sums = [
      ...(terms.key ? [compared(query, terms.key, ofKeys)] : []),
      ...(terms.query ? [transpose(compared(key, terms.query, ofQueries), [0, 1, 3, 2])] : []),
    ];
    return sums.reduce(add);
  };
}
