/**
 * @file Vectors of the base that an adapter has of its own, biases and the factors of norms, in the rows of a batch.
 *
 *   w[b] = w + δ[b]     δ: zero in a row that has the base's
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

/** The form of a row that has the base's own vector. */
export const NO_CHANGE: RowForm<null> = { tensors: {}, options: null };

/** The vectors of the base that an adapter has of its own; null: it has more of the base than such. */
export function vectorsOf(base: BaseModel, { parameters }: Adapter): readonly Parameter[] | null {
  const own = parameters.filter(({ owner }) => owner.kind === "base");
  const inHead = new Set(base.model.head.tensors.map(({ name }) => name));
  const isVector = ({ name, shape, layer }: Parameter): boolean =>
    shape.length === 1 && (layer !== null || inHead.has(name));
  return own.every(isVector) ? own : null;
}

/** What rows need of a vector. */
export async function formVector(base: BaseModel, { name, value }: Parameter): Promise<RowForm<null>> {
  const { data } = await base.values(name);
  const change = value.data.map((own, i) => own - data[i]!);
  return { tensors: { [CHANGE]: hostTensor("float32", value.shape, change) }, options: null };
}

/** The vector of each row, [B, D], in a head [N, D]. */
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
