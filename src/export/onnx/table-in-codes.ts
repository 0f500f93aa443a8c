/** @file An embedding that files store as codes; a program dequantizes the rows that it looks up. */
import type { Value } from "../../graph/graph.ts";
import { gatherRows } from "../../graph/ops/rows/gather-scatter.ts";
import type { TensorRead } from "../../models/graphs/part-tensors.ts";
import type { LookupGraph } from "../../models/graphs/site-graph.ts";
import type { AdapterView } from "../../peft/adapter-view.ts";
import { blockFormOf } from "../../quant/uniform-blocks.ts";
import type { Session } from "../../run/session.ts";

interface TableInCodes extends TensorRead {
  /** Returns the rows of a look-up, [B, T, D]; those of other tables unchanged. */
  rowsIn(graph: LookupGraph): Value;
}

/** The embedding of a base that stores it in 8 bits, for an arithmetic whose head reads such codes; null: it is read in float32. */
export function tableInCodes(
  { compute, model, base }: Pick<Session, "compute" | "model" | "base">,
  adapter: AdapterView,
): TableInCodes | null {
  const { embedding } = model;
  if (!compute.hasHead || !embedding) return null;
  const tensor = `${embedding.name}.weight`;
  const storage = base.source.storageOf(tensor);
  if (tensor in adapter.inputs(null) || blockFormOf(storage)?.bits !== 8) return null;
  const { inFeatures: numRows, outFeatures: width } = embedding;
  const matrix = { role: "head", inFeatures: width, outFeatures: numRows, storedTransposed: false } as const;
  const product = compute.product(matrix, storage);
  if (!product) return null;
  const rowsIn = (graph: LookupGraph): Value => {
    if (graph.spec.name !== embedding.name) return graph.rows;
    const operands = product.operands.map(({ suffix, shape, dtype }): [string, Value] => [
      suffix,
      gatherRows(graph.input(`weight${suffix}`, shape, dtype), graph.ids),
    ]);
    return product.dense(Object.fromEntries(operands));
  };
  return { tensor, preparation: product, rowsIn };
}
