/** @file The view through which programs read stacked adapters, one for each row. */
import type { Value } from "../../graph/graph.ts";
import type { AdapterView, BoundTensor } from "../adapter-view.ts";
import type { StackedBatch } from "../contract/batch-rule.ts";
import { type RowPlace, keyOf } from "./row-forms.ts";
import { readVector } from "./row-vectors.ts";
import type { BoundForm, Frozen, SiteTensors } from "../sites/site.ts";

/** A place with the stacked tensors of all rows, and the other tensors that programs read there. */
export interface StackedPlace {
  readonly options: unknown;
  /** Tensors [rows, ...] by suffix. Row i of a batch uses row i of each. */
  readonly tensors: SiteTensors;
  /** Frozen tensors that all adapters share, by suffix. */
  readonly common: Frozen;
  /** A tensor that programs bind instead of one of the common ones. */
  readonly bound: BoundTensor | null;
}

/** Makes the view of stacked adapters. */
export function viewRows(
  batch: StackedBatch<unknown>,
  stacked: ReadonlyMap<RowPlace, StackedPlace>,
  feeds: Pick<AdapterView, "inputs" | "constants">,
): AdapterView {
  const byName = new Map([...stacked].map(([place, stack]) => [keyOf(place), stack]));
  return {
    ...feeds,
    trained: () => [],
    lookUp: (graph) => graph.rows,
    readTensor: (layer) => (graph) =>
      readVector(graph, layer, byName.get(keyOf({ layer, name: graph.name }))?.tensors ?? {}),
    projector: (layer) => (graph, x) => {
      const site = byName.get(keyOf({ layer, name: graph.spec.name }));
      if (!site) return graph.project(x);
      const values: Record<string, Value> = {};
      for (const [suffix, { shape }] of Object.entries(site.tensors))
        values[suffix] = graph.input(suffix, ["B", ...shape.slice(1)], "float32");
      for (const { suffix, shape, dtype } of commonSpecs(site))
        values[suffix] = graph.input(suffix, shape, dtype);
      return batch.adapt(graph, x, values, site.options);
    },
    signature: (layer) => {
      const own = [...stacked].filter(([place]) => place.layer === layer);
      const parts = own.map(([{ name }, site]) => {
        // The number of rows is left out, as programs are the same for any number.
        const shapes = Object.entries(site.tensors).map(([suffix, { shape }]) => [suffix, shape.slice(1)]);
        return [name, site.options, shapes, commonSpecs(site)] as const;
      });
      parts.sort(([a], [b]) => (a < b ? -1 : 1));
      return JSON.stringify(["rows", ...parts]);
    },
  };
}

/** Lists the shared tensors that programs read at a site. */
function commonSpecs({ common, bound }: StackedPlace): BoundForm["spec"][] {
  return [
    ...Object.entries(common).flatMap(([suffix, { shape, dtype }]) =>
      suffix === bound?.of ? [] : [{ suffix, shape, dtype }],
    ),
    ...(bound ? [bound.spec] : []),
  ];
}
