/**
 * @file SNELL with an adapter a row: an adapter's update is made once, when it comes, and multiplied for the rows that have it.
 *
 *   y[b] = x[b] Wᵀ + bias + x[b] ΔWˢᵀ
 */
import { add } from "../../../graph/ops/elementwise.ts";
import { matmul } from "../../../graph/ops/matmul.ts";
import type { Value } from "../../../graph/graph.ts";
import type { RowBatch } from "../../contract/row-batch.ts";
import type { SiteValues } from "../../sites/site.ts";

/** Name of the update [out, in], which is made of the factors. */
export const DELTA = "delta";

/** All but how the update is made, which options say; then they are none of the rows' business. */
export function snellRows<S>(ofBase: NonNullable<RowBatch<S>["ofBase"]>, options: S): RowBatch<S> {
  return {
    ofBase,
    form: ({ [DELTA]: delta }) => ({ tensors: { [DELTA]: delta! }, options }),
    identity: () => ({ tensors: {}, options }),
    adapt: (site, x, values) => add(site.project(x), product(x, values)),
    added: product,
  };
}

function product(x: Value, { [DELTA]: delta }: SiteValues): Value {
  return matmul(x, delta!, { transB: true });
}
