/**
 * @file Adapters of several methods in the rows of one batch: each method is applied to all rows, and does not change those of
 * the others.
 *
 * A projection is the first method's around the base's, then the second's around both, and so on. So the base's product is
 * computed once, and programs differ by the methods that they contain.
 */
import { assertInternal } from "../../errors.ts";
import type { Value } from "../../graph/graph.ts";
import { type TensorGraph, withProjector } from "../../models/graphs/site-graph.ts";
import type { Tensors } from "../../runtime/host-tensor.ts";
import type { AdapterView } from "../adapter-view.ts";
import type { Adapter } from "../attach.ts";
import type { RowSet } from "./row-set.ts";

/** Suffix of the input names of one of several views. */
const suffixOf = (index: number): string => `@${index}`;

/** Makes one view from several, whose rows have the same adapters. */
export function mixViews(views: readonly AdapterView[]): AdapterView {
  return {
    trained: () => [],
    lookUp: (graph) => graph.rows,
    projector: (layer) => (graph, x) => {
      const projectors = views.map((view) => view.projector(layer));
      let project = (value: Value): Value => graph.project(value);
      for (const [index, projector] of projectors.entries()) {
        const site = withProjector(graph, project, suffixOf(index));
        project = (value) => projector(site, value);
      }
      return project(x);
    },
    readTensor: (layer) => (graph) => {
      const input =
        (index: number): TensorGraph["input"] =>
        (name, shape, dtype) =>
          graph.input(name + suffixOf(index), shape, dtype);
      return views.reduce(
        (value, view, index) => view.readTensor(layer)({ ...graph, value, input: input(index) }),
        graph.value,
      );
    },
    signature: (layer) => JSON.stringify(views.map((view) => view.signature(layer))),
    inputs: joined(views.map((view) => (layer) => view.inputs(layer))),
    constants: joined(views.map((view) => (layer) => view.constants(layer))),
  };
}

/** Joins the tensors of all views by input name; the result is reused as long as they are the same. */
function joined(views: readonly ((layer: number | null) => Tensors)[]): (layer: number | null) => Tensors {
  const known = new Map<number | null, { readonly own: readonly Tensors[]; readonly all: Tensors }>();
  return (layer) => {
    const own = views.map((view) => view(layer));
    const before = known.get(layer);
    if (before?.own.every((tensors, i) => tensors === own[i])) return before.all;
    const named = own.flatMap((tensors, index) =>
      Object.entries(tensors).map(([name, tensor]) => [name + suffixOf(index), tensor] as const),
    );
    const all = Object.fromEntries(named);
    known.set(layer, { own, all });
    return all;
  };
}

/**
 * Gives rows these adapters, each from one of `slots` or none; the views then provide their tensors until the next call. No pass
 * may be running. Returns for each row the index of its adapter in `adapters`.
 */
export function arrangeRows(
  slots: readonly RowSet[],
  adapters: readonly (Adapter | null)[],
): readonly number[] {
  const count = adapters.length;
  for (const each of slots) each.reserve(count);
  const [first] = slots;
  assertInternal(first, "somebody has rows");
  if (count === 1) {
    // A text that runs alone gets the last row, so that it displaces no other.
    const found = slots.length === 1 ? first.rows.indexOf(adapters[0] ?? null) : -1;
    for (const each of slots) each.place(found >= 0 ? found : each.rows.length - 1, adapters);
    return [0];
  }
  const left = new Set(adapters.keys());
  const take = (asked: number): number => {
    left.delete(asked);
    return asked;
  };
  const hasRow = (row: number, adapter: Adapter | null): boolean =>
    slots.every((each) => each.rows[row] === (adapter && each.has(adapter) ? adapter : null));
  const stays = Array.from({ length: count }, (_, row) => {
    const asked = [...left].find((index) => hasRow(row, adapters[index] ?? null));
    return asked === undefined ? null : take(asked);
  });
  const order = stays.map((asked) => asked ?? take([...left][0]!));
  const placed = order.map((asked) => adapters[asked] ?? null);
  for (const each of slots) each.place(0, placed);
  return order;
}
