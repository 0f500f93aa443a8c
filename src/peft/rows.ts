/**
 * @file Several adapters of one method side by side, so that each row of a batch has its own.
 *
 * The tensors of the adapters lie behind one another, [N, ...], and the programs pick those of each row, so a batch of
 * any mixture runs as one. A row without an adapter has one that changes nothing.
 */
import { UsageError } from "../errors.ts";
import type { Value } from "../graph/graph.ts";
import { gatherRows } from "../graph/ops/gather-scatter.ts";
import type { BaseModel } from "../models/base-model.ts";
import { passInput } from "../nn/pass.ts";
import type { Engine } from "../runtime/engine.ts";
import { type HostTensor, zeros } from "../runtime/host-tensor.ts";
import { numElements } from "../graph/shape.ts";
import type { AdapterView, BoundTensor } from "./adapter-view.ts";
import type { Adapter } from "./attach.ts";
import { type AdaptedSite, indexSites, placesOf } from "./layout.ts";
import type { RowBatch, RowForm } from "./method.ts";
import { type RowMember, formRows } from "./row-forms.ts";
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

/** One site of the batch: what all adapters give there, and what the programs read of it. */
export interface StackedSite {
  readonly options: unknown;
  /** By suffix, [N, ...]. */
  readonly tensors: SiteTensors;
  /** What all adapters have of the base, by suffix. */
  readonly common: Frozen;
  /** What is bound in the place of one of those. */
  readonly bound: BoundTensor | null;
}

/**
 * Puts adapters, and nothing (null), side by side for passes that choose among them by the input `rows`. What is trained is
 * copied. A site that only some have is there for all.
 * @throws UsageError "usage/adapter" when they cannot share a batch.
 */
export async function stackAdapters(
  engine: Engine,
  base: BaseModel,
  adapters: readonly (Adapter | null)[],
): Promise<AdapterView> {
  const members: (RowMember | null)[] = [];
  for (const adapter of adapters) members.push(adapter && (await formRows(engine, base, adapter)));
  const batch = requireAlike(members);
  const present = members.flatMap((member) => member ?? []);
  const stacked = new Map<AdaptedSite, StackedSite>();
  const inputs = new Map<number | null, Record<string, HostTensor>>();
  for (const site of sitesOf(present).values()) {
    const forms = formsAt(batch, members, site);
    const suffixes = [...new Set(forms.flatMap(({ tensors }) => Object.keys(tensors)))];
    const stack = (suffix: string): HostTensor<"float32"> =>
      stackTensors(forms.map(({ tensors }) => tensors[suffix] ?? null));
    const tensors = Object.fromEntries(suffixes.map((suffix) => [suffix, stack(suffix)]));
    const { options } = forms[0] as RowForm<unknown>;
    const common = commonTensors(present, site);
    stacked.set(site, { options, tensors, common, bound: null });
    const { layer, spec } = site;
    const own = inputs.get(layer) ?? {};
    inputs.set(layer, own);
    for (const [suffix, tensor] of Object.entries({ ...tensors, ...common })) {
      own[`${spec.name}.${suffix}`] = tensor;
    }
  }
  return viewRows(base, batch, stacked, {
    inputs: (layer) => inputs.get(layer) ?? {},
    constants: () => ({}),
    areGathered: true,
  });
}

/** How rows have these adapters, and nothing (null). @throws UsageError "usage/adapter" when they cannot share a batch. */
export function requireAlike(members: readonly (RowMember | null)[]): RowBatch<unknown> {
  const present = members.flatMap((member) => member ?? []);
  const batch = commonBatch(present);
  for (const site of sitesOf(present).values()) {
    // First what is trained, which tells adapters of other settings: those have other frozen tensors too.
    const [first, ...others] = formsAt(batch, members, site) as [RowForm<unknown>, ...RowForm<unknown>[]];
    for (const [index, { options }] of others.entries()) {
      if (JSON.stringify(options) === JSON.stringify(first.options)) continue;
      throw new UsageError(
        "usage/adapter",
        `Cannot put adapters 1 and ${index + 2} in one batch: at "${site.path}" ${difference(first.options, options)}`,
        { hint: "Run the requests of adapters with other settings on their own." },
      );
    }
    commonTensors(present, site);
  }
  requireSameShared(present);
  return batch;
}

/** Sites of all, by path. */
function sitesOf(members: readonly RowMember[]): Map<string, AdaptedSite> {
  return new Map(members.flatMap(({ adapter }) => [...adapter.sites]));
}

/** What each has at a site. @throws UsageError "usage/adapter" when one has nothing, and rows must have something */
function formsAt(
  batch: RowBatch<unknown>,
  members: readonly (RowMember | null)[],
  { path, spec, options }: AdaptedSite,
): RowForm<unknown>[] {
  return members.map((member) => member?.forms.get(path) ?? batch.identity(spec, options));
}

/** Where the programs of rows read the tensors of adapters. */
export interface RowInputs extends Pick<AdapterView, "inputs" | "constants"> {
  /** Whether rows pick theirs by the input `rows`; else row i of a batch has the i-th. */
  readonly areGathered: boolean;
}

/** Makes the view of adapters side by side. */
export function viewRows(
  base: BaseModel,
  batch: RowBatch<unknown>,
  stacked: ReadonlyMap<AdaptedSite, StackedSite>,
  { areGathered, ...feeds }: RowInputs,
): AdapterView {
  const find = indexSites(stacked.keys());
  const siteAt = (layer: number | null, name: string): StackedSite | undefined => {
    const site = find(layer, name);
    return site && stacked.get(site);
  };
  return {
    ...feeds,
    trained: () => [],
    lookUp: (graph) => graph.rows,
    projector: (layer) => (graph, x) => {
      const site = siteAt(layer, graph.spec.name);
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
    signature: (layer) =>
      JSON.stringify([
        areGathered ? ROWS.name : "own rows",
        ...placesOf(base.model, layer).map(({ name }) => {
          const site = siteAt(layer, name);
          // However many adapters there are, programs are the same.
          const shapes = Object.entries(site?.tensors ?? {}).map(([suffix, { shape }]) => [
            suffix,
            shape.slice(1),
          ]);
          return site ? [name, site.options, shapes, commonSpecs(site)] : null;
        }),
      ]),
  };
}

/** How rows of all have theirs. @throws UsageError "usage/adapter" when methods differ in it, or there is none */
function commonBatch(members: readonly RowMember[]): RowBatch<unknown> {
  const [first] = members;
  if (first && members.every(({ batch }) => batch.adapt === first.batch.adapt)) return first.batch;
  const names = new Set(members.map(({ adapter }) => `"${adapter.method.name}"`));
  throw new UsageError(
    "usage/adapter",
    `Cannot put adapters in one batch: they are of ${[...names].join(" and ") || "no method"}, expected one method`,
    { hint: "Run the requests of each method on their own." },
  );
}

/** All sites of an adapter share some tensors, and so do rows. @throws UsageError "usage/adapter" when adapters have others */
function requireSameShared(members: readonly RowMember[]): void {
  const known = new Map<string, HostTensor>();
  for (const [index, { adapter }] of members.entries()) {
    for (const [suffix, tensor] of adapter.shared) {
      const first = known.get(suffix) ?? tensor;
      known.set(suffix, first);
      if (haveSameValues(first, tensor)) continue;
      throw new UsageError(
        "usage/adapter",
        `Cannot put adapters in one batch: adapter ${index + 1} has another ${suffix} than those before it, expected the same`,
        {
          hint: "Run the requests of adapters that were made with other seeds, ranks or modules on their own.",
        },
      );
    }
  }
}

function haveSameValues({ data: a }: HostTensor, { data: b }: HostTensor): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** The frozen tensors that are the same for all. @throws UsageError "usage/adapter" when adapters have others there */
export function commonTensors(
  members: readonly RowMember[],
  { path, frozen }: Pick<AdaptedSite, "path" | "frozen">,
): Frozen {
  const common: Record<string, HostTensor> = {};
  for (const { suffix, shared } of frozen.filter(({ saved, shared }) => shared || !saved)) {
    for (const [index, { adapter }] of members.entries()) {
      const site = adapter.sites.get(path);
      if (!site) continue;
      const own = adapter.tensorsOf(site)[suffix];
      const known = (common[suffix] ??= own as HostTensor);
      if (shared || own?.data === known.data) continue;
      throw new UsageError(
        "usage/adapter",
        `Cannot put adapters in one batch: adapter ${index + 1} has other frozen tensors at "${path}" than those before it, expected the same`,
        { hint: "Run the requests of adapters that were made on other codes on their own." },
      );
    }
  }
  return common;
}

/** What programs read of the base at a site beside its weight. */
function commonSpecs({ common, bound }: StackedSite): BoundForm["spec"][] {
  return [
    ...Object.entries(common).flatMap(([suffix, { shape, dtype }]) =>
      suffix === bound?.of ? [] : [{ suffix, shape, dtype }],
    ),
    ...(bound ? [bound.spec] : []),
  ];
}

/** Lays tensors behind one another, filled up with zeros to the largest size of each axis; null is all zeros. */
function stackTensors(tensors: readonly (HostTensor<"float32"> | null)[]): HostTensor<"float32"> {
  const shapes = tensors.flatMap((tensor) => (tensor ? [tensor.shape] : []));
  const shape = (shapes[0] ?? []).map((_, axis) => Math.max(...shapes.map((s) => s[axis] as number)));
  const stacked = zeros("float32", [tensors.length, ...shape]);
  for (const [index, tensor] of tensors.entries()) {
    if (tensor) copyInto(tensor, stacked.data.subarray(index * numElements(shape)), shape);
  }
  return stacked;
}

/** Copies a tensor to the beginning of each axis of a larger one. */
export function copyInto(
  { shape: from, data }: HostTensor<"float32">,
  to: Float32Array,
  shape: readonly number[],
): void {
  const width = from.at(-1) ?? 1;
  for (let start = 0; start < data.length; start += width) {
    let [rest, place, stride] = [start / width, 0, shape.at(-1) ?? 1];
    for (let axis = from.length - 2; axis >= 0; axis--) {
      const size = from[axis] as number;
      place += (rest % size) * stride;
      stride *= shape[axis] as number;
      rest = Math.floor(rest / size);
    }
    to.set(data.subarray(start, start + width), place);
  }
}

/** Says in what two options of a site differ. */
function difference(a: unknown, b: unknown): string {
  const [one, other] = [a, b].map((options) => Object(options) as Record<string, unknown>);
  const keys = Object.keys({ ...one, ...other });
  const unequal = keys.filter((key) => JSON.stringify(one?.[key]) !== JSON.stringify(other?.[key]));
  return unequal
    .map((key) => `${key} is ${JSON.stringify(one?.[key])} and ${JSON.stringify(other?.[key])}`)
    .join(", ");
}
