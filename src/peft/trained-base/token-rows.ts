/**
 * @file Single rows of the embedding or of the head that are trained beside an adapter, as PEFT's `trainable_token_indices`:
 *
 *   x = Ẽ[ids]     y = h Ẽᵀ + b     Ẽ: a table E [V, D] with R [k, D] in the place of k of its rows
 *
 * The table stays as it is stored: of what is looked up rows of R are chosen, and of logits k columns are h Rᵀ + b.
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

/** What PEFT calls the numbers by which the rows are put in place, after the module's path. */
const NUMBERS = "token_adapter.token_indices";

/** The trained rows among parameters, a tensor for each module that has some of its own. */
export function trainedRowsIn(parameters: readonly Pick<Parameter, "owner">[]): readonly TrainedRows[] {
  return parameters.flatMap(({ owner }) =>
    owner.kind === "base" && owner.tensor.rows ? [owner.tensor as TrainedRows] : [],
  );
}

/** What programs read beside the rows, by the inputs' names. */
export function rowNumbers(all: readonly TrainedRows[]): Tensors {
  const numbers = all.map(({ rows: { readers, ids } }) => {
    const tensor = hostTensor("int64", [ids.length], BigInt64Array.from(ids, BigInt));
    return [`${readers[0]}.${NUMBERS}`, tensor];
  });
  return Object.fromEntries(numbers) as Record<string, HostTensor>;
}

/** Builds a look-up with the rows in the place of what it has found. */
export function withRows(graph: LookupGraph, found: Value, all: readonly TrainedRows[]): Value {
  const trained = rowsOf(graph.spec.name, all);
  if (!trained) return found;
  const [own, numbers] = addInputs((...of) => graph.input(...of), trained.shape);
  // One of the columns is 1 where a token has a row of its own: a product with ones and zeros takes the rows as they are.
  const places = cast(equal(reshape(graph.ids, [...graph.ids.shape, 1]), numbers), "float32"); // [B, T, k]
  const isOther = sub(found.graph.scalar(1), reduceSum(places, [graph.ids.shape.length])); // [B, T, 1]
  return add(mul(found, isOther), matmul(places, own));
}

/** Builds the product of a head with the rows in the place of those of its matrix; `y`: with all as they are. */
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
