/**
 * @file Vectors of the base that an adapter trains (biases and factors of norms) in the rows of a batch.
 *
 *   w[b] = w + δ[b]     δ: zero in rows with the base's vector
 */
import type { Value } from "../../graph/graph.ts";
import { add } from "../../graph/ops/pointwise/elementwise.ts";
import type { BaseModel } from "../../models/base/base-model.ts";
import type { TensorGraph } from "../../models/graphs/site-graph.ts";
import { hostTensor } from "../../runtime/host-tensor.ts";
import type { Adapter } from "../attach.ts";
import type { RowForm } from "../contract/batch-rule.ts";
import type { Parameter } from "../parameters.ts";
import type { SiteTensors } from "../sites/site.ts";

const CHANGE = "change";

/** The form of a row with the base's own vector. */
export const NO_CHANGE: RowForm<null> = { tensors: {}, options: null };

/** Returns the vectors of the base that an adapter trains; null: it trains other tensors of the base too. */
export function vectorsOf(base: BaseModel, { parameters }: Adapter): readonly Parameter[] | null {
  const own = parameters.filter(({ owner }) => owner.kind === "base");
  const inHead = new Set(base.model.head.tensors.map(({ name }) => name));
  const isVector = ({ name, shape, layer }: Parameter): boolean =>
    shape.length === 1 && (layer !== null || inHead.has(name));
  return own.every(isVector) ? own : null;
}

/** Makes the form of a vector. */
export async function formVector(base: BaseModel, { name, value }: Parameter): Promise<RowForm<null>> {
  const { data } = await base.values(name);
  const change = value.data.map((own, i) => own - data[i]!);
  return { tensors: { [CHANGE]: hostTensor("float32", value.shape, change) }, options: null };
}

/** Builds the vector of each row, [B, D], in a head [N, D]. */
export function readVector(
  graph: TensorGraph,
  layer: number | null,
  { [CHANGE]: change }: SiteTensors,
): Value {
  if (!change) return graph.value;
  return add(
    graph.value,
    graph.input(CHANGE, [layer === null ? "N" : "B", ...change.shape.slice(1)], "float32"),
  );
}
