/** @file How programs read adapters that lie side by side, each row its own. */
import type { Value } from "../graph/graph.ts";
import { gatherRows } from "../graph/ops/gather-scatter.ts";
import { passInput } from "../nn/pass.ts";
import type { AdapterView, BoundTensor } from "./adapter-view.ts";
import type { RowBatch } from "./method.ts";
import type { RowPlace } from "./row-forms.ts";
import { readVector } from "./row-vectors.ts";
import type { BoundForm, Frozen, SiteTensors } from "./site.ts";

/** Which adapter each row has. */
const ROWS = passInput({
  name: "rows",
  dtype: "int64",
  shape: ["B"],
  perPrompt: false,
  fill: ({ adapterOf, numRows }, data) => {
    for (let row = 0; row < numRows; row++) data[row] = BigInt(adapterOf?.[row] ?? 0);
  },
});

/** One place of the batch: what all adapters give there, and what the programs read of it. */
export interface StackedPlace {
  readonly options: unknown;
  /** By suffix, [N, ...]. */
  readonly tensors: SiteTensors;
  /** What all adapters have of the base, by suffix. */
  readonly common: Frozen;
  /** What is bound in the place of one of those. */
  readonly bound: BoundTensor | null;
}

/** Where the programs of rows read the tensors of adapters. */
export interface RowInputs extends Pick<AdapterView, "inputs" | "constants"> {
  /** Whether rows pick theirs by the input `rows`; else row i of a batch has the i-th. */
  readonly areGathered: boolean;
}

/** Makes the view of adapters side by side. */
export function viewRows(
  batch: RowBatch<unknown>,
  stacked: ReadonlyMap<RowPlace, StackedPlace>,
  { areGathered, ...feeds }: RowInputs,
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
      for (const [suffix, { shape }] of Object.entries(site.tensors)) {
        const input = graph.input(suffix, [areGathered ? "A" : "B", ...shape.slice(1)], "float32");
        values[suffix] = areGathered ? gatherRows(input, graph.context(ROWS)) : input;
      }
      for (const { suffix, shape, dtype } of commonSpecs(site))
        values[suffix] = graph.input(suffix, shape, dtype);
      return batch.adapt(graph, x, values, site.options);
    },
    signature: (layer) => {
      const own = [...stacked].filter(([place]) => place.layer === layer);
      const parts = own.map(([{ name }, site]) => {
        // However many adapters there are, programs are the same.
        const shapes = Object.entries(site.tensors).map(([suffix, { shape }]) => [suffix, shape.slice(1)]);
        return [name, site.options, shapes, commonSpecs(site)] as const;
      });
      parts.sort(([a], [b]) => (a < b ? -1 : 1));
      return JSON.stringify([areGathered ? ROWS.name : "own rows", ...parts]);
    },
  };
}

function keyOf({ layer, name }: Pick<RowPlace, "layer" | "name">): string {
  return `${layer}.${name}`;
}

/** What programs read of the base at a site beside its weight. */
function commonSpecs({ common, bound }: StackedPlace): BoundForm["spec"][] {
  return [
    ...Object.entries(common).flatMap(([suffix, { shape, dtype }]) =>
      suffix === bound?.of ? [] : [{ suffix, shape, dtype }],
    ),
    ...(bound ? [bound.spec] : []),
  ];
}
