/**
 * @file Single rows of the embedding or of the head that are trained beside an adapter, like PEFT's `trainable_token_indices`:
 *
 *   x = Ẽ[ids]     y = h Ẽᵀ + b     Ẽ: a table E [V, D] with k of its rows replaced by R [k, D]
 *
 * The stored table does not change: looked-up rows are replaced by those of R, and k columns of the logits by h Rᵀ + b.
 */
import type { Value } from "../../graph/graph.ts";
import { cast } from "../../graph/ops/shapes/cast.ts";
import { equal } from "../../graph/ops/pointwise/compare.ts";
import { add, mul, sub } from "../../graph/ops/pointwise/elementwise.ts";
import { matmul } from "../../graph/ops/products/matmul.ts";
import { reduceSum } from "../../graph/ops/shapes/reduce-expand.ts";
import { reshape } from "../../graph/ops/shapes/reshape.ts";
import { gatherRows } from "../../graph/ops/rows/gather-scatter.ts";
import { setColumns } from "../../graph/ops/rows/set-columns.ts";
import type { LookupGraph, SiteGraph } from "../../models/graphs/site-graph.ts";
import { type HostTensor, hostTensor, type Tensors } from "../../runtime/host-tensor.ts";
import type { Parameter } from "../parameters.ts";
import { ROWS, type TrainedRows } from "./trained-rows.ts";

/** PEFT's name, after the module's path, for the indices of the rows. */
const NUMBERS = "token_adapter.token_indices";

/** Lists the trained rows among parameters: one tensor for each module with rows of its own. */
export function trainedRowsIn(parameters: readonly Pick<Parameter, "owner">[]): readonly TrainedRows[] {
  return parameters.flatMap(({ owner }) =>
    owner.kind === "base" && owner.tensor.rows ? [owner.tensor as TrainedRows] : [],
  );
}

/** Returns the row indices that programs read beside the rows, by input name. */
export function rowNumbers(all: readonly TrainedRows[]): Tensors {
  const numbers = all.map(({ rows: { readers, ids } }) => {
    const tensor = hostTensor("int64", [ids.length], BigInt64Array.from(ids, BigInt));
    return [`${readers[0]}.${NUMBERS}`, tensor];
  });
  return Object.fromEntries(numbers) as Record<string, HostTensor>;
}

/** Replaces the trained rows in the result of a look-up. */
export function withRows(graph: LookupGraph, found: Value, all: readonly TrainedRows[]): Value {
  const trained = rowsOf(graph.spec.name, all);
  if (!trained) return found;
  const [own, numbers] = addInputs((...of) => graph.input(...of), trained.shape);
  // For tokens with a trained row one of the columns is 1, so a product with these zeros and ones selects the rows exactly.
  const places = cast(equal(reshape(graph.ids, [...graph.ids.shape, 1]), numbers), "float32"); // [B, T, k]
  const isOther = sub(found.graph.scalar(1), reduceSum(places, [graph.ids.shape.length])); // [B, T, 1]
  return add(mul(found, isOther), matmul(places, own));
}

/** Replaces the logits of trained rows in the product of a head; `y` is the product without them. */
export function withColumns(graph: SiteGraph, x: Value, y: Value, all: readonly TrainedRows[]): Value {
  const trained = rowsOf(graph.spec.name, all);
  if (!trained) return y;
  const isOwn = trained.rows.readers[0] === graph.spec.name;
  const [own, numbers] = addInputs(
    (...of) => (isOwn ? graph.input(...of) : graph.inputOfTied(...of)),
    trained.shape,
  );
  const columns = matmul(x, own, { transB: true });
  return setColumns(y, graph.bias ? add(columns, gatherRows(graph.bias, numbers)) : columns, numbers);
}

function rowsOf(module: string, all: readonly TrainedRows[]): TrainedRows | undefined {
  return all.find(({ rows }) => rows.readers.includes(module));
}

function addInputs(input: LookupGraph["input"], shape: readonly number[]): readonly [Value, Value] {
  return [input(ROWS, shape, "float32"), input(NUMBERS, shape.slice(0, 1), "int64")];
}
