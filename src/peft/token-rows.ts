/**
 * @file Single rows of the embedding that are trained beside an adapter, as PEFT's `trainable_token_indices`:
 *
 *   x = Ẽ[ids]     y = h Ẽᵀ where the head is tied     Ẽ: E [V, D] with R [k, D] in the place of k of its rows
 *
 * The table stays as it is stored: of what is looked up rows of R are chosen, and of logits k columns are h Rᵀ.
 */
import type { Value } from "../graph/graph.ts";
import { cast } from "../graph/ops/cast.ts";
import { equal } from "../graph/ops/compare.ts";
import { add, mul, sub } from "../graph/ops/elementwise.ts";
import { matmul } from "../graph/ops/matmul.ts";
import { reduceSum } from "../graph/ops/reduce-expand.ts";
import { reshape } from "../graph/ops/reshape.ts";
import { setColumns } from "../graph/ops/set-columns.ts";
import type { LookupGraph, SiteGraph } from "../models/graphs/site-graph.ts";
import { moduleOf } from "../models/module-path.ts";
import { type HostTensor, hostTensor } from "../runtime/host-tensor.ts";
import type { Parameter } from "./parameters.ts";
import { ROWS, type TrainedRows } from "./trained-rows.ts";

/** What PEFT calls the numbers by which the rows are put in place, after the module's path. */
const NUMBERS = "token_adapter.token_indices";

/** The trained rows among parameters; null: there are none. */
export function trainedRowsIn(parameters: readonly Pick<Parameter, "owner">[]): TrainedRows | null {
  const found = parameters.flatMap(({ owner }) =>
    owner.kind === "base" && owner.tensor.rows ? [owner.tensor as TrainedRows] : [],
  );
  return found[0] ?? null;
}

/** What programs read beside the rows, by the inputs' names. */
export function rowNumbers({ rows: { table, ids } }: TrainedRows): Readonly<Record<string, HostTensor>> {
  const numbers = hostTensor("int64", [ids.length], BigInt64Array.from(ids, BigInt));
  return { [`${moduleOf(table)}.${NUMBERS}`]: numbers };
}

/** Builds a look-up with the rows in the place of what it has found. */
export function withRows(graph: LookupGraph, found: Value, { shape, rows: { table } }: TrainedRows): Value {
  if (graph.spec.name !== moduleOf(table)) return found;
  const [own, numbers] = addInputs((...of) => graph.input(...of), shape);
  // One of the columns is 1 where a token has a row of its own: a product with ones and zeros takes the rows as they are.
  const places = cast(equal(reshape(graph.ids, [...graph.ids.shape, 1]), numbers), "float32"); // [B, T, k]
  const isOther = sub(found.graph.scalar(1), reduceSum(places, [graph.ids.shape.length])); // [B, T, 1]
  return add(mul(found, isOther), matmul(places, own));
}

/** Builds the product of a tied head with the rows in the place of those of its matrix; `y`: with all as they are. */
export function withColumns(graph: SiteGraph, x: Value, y: Value, { shape }: TrainedRows): Value {
  const [own, numbers] = addInputs((...of) => graph.inputOfTied(...of), shape);
  return setColumns(y, matmul(x, own, { transB: true }), numbers);
}

function addInputs(input: LookupGraph["input"], shape: readonly number[]): readonly [Value, Value] {
  return [input(ROWS, shape, "float32"), input(NUMBERS, shape.slice(0, 1), "int64")];
}
