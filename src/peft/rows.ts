/**
 * @file Several adapters of one method side by side, so that each row of a batch has its own.
 *
 * The tensors of the adapters lie behind one another, [N, ...], and the programs pick those of each row, so a batch of
 * any mixture runs as one. A row without an adapter has one that still is as it started.
 */
import { UsageError } from "../errors.ts";
import { gatherRows } from "../graph/ops/gather-rows.ts";
import { residualSite } from "../models/architecture.ts";
import type { BaseModel } from "../models/base-model.ts";
import { Random } from "../random.ts";
import { type HostTensor, numElements, zeros } from "../runtime/host-tensor.ts";
import type { AdaptedSite, Adapter, Overlay } from "./attach.ts";
import type { Method, SiteTensors } from "./method.ts";

/** The input that says which adapter each row has, int64 [B]. */
export const ROWS = "rows";

/** What one adapter gives to a site of the batch. */
interface RowForm {
  readonly tensors: SiteTensors;
  readonly options: unknown;
}

/** One site of the batch: what all adapters give there, and what the programs read of it. */
interface StackedSite {
  readonly options: unknown;
  /** By suffix, [N, ...]. */
  readonly tensors: SiteTensors;
}

/**
 * Puts adapters, and nothing (null), side by side for passes that choose among them by the input `rows`. The tensors are
 * copies. A site that only some have is there for all.
 * @throws UsageError "usage/adapter" when they cannot share a batch.
 */
export async function stackAdapters(
  base: BaseModel,
  adapters: readonly (Adapter | null)[],
): Promise<Overlay> {
  const method = commonMethod(adapters);
  const { adaptRows } = method;
  if (adaptRows === "not-batchable") {
    throw new UsageError(
      "usage/adapter",
      `Cannot put adapters of method "${method.name}" in one batch: its rows cannot differ`,
      { hint: "Run the requests of each adapter on their own" },
    );
  }
  refuseWholeTensors(base, adapters);
  const sites = new Map<string, AdaptedSite>();
  for (const adapter of adapters) for (const [path, site] of adapter?.sites ?? []) sites.set(path, site);
  const stacked = new Map<string, StackedSite>();
  for (const [path, site] of sites) stacked.set(path, await stackSite(base, method, adapters, site));
  const siteAt = (layer: number | null, name: string): StackedSite | undefined =>
    layer === null ? undefined : stacked.get(base.architecture.names.blockPrefix(layer) + name);
  const inputs = new Map<string, HostTensor>();
  for (const [path, { tensors }] of stacked) {
    for (const [suffix, tensor] of Object.entries(tensors)) inputs.set(`${path}.${suffix}`, tensor);
  }
  return {
    parameters: [],
    input: (name) => inputs.get(name) ?? null,
    lookUp: (graph) => graph.rows,
    projector: (layer) => (graph, x) => {
      const site = siteAt(layer, graph.spec.name);
      if (!site) return graph.project(x);
      const rows = graph.context(ROWS, "int64", [x.shape[0] ?? "B"]);
      const parameters = Object.fromEntries(
        Object.entries(site.tensors).map(([suffix, { shape }]) => [
          suffix,
          gatherRows(graph.input(suffix, shape, "float32"), rows),
        ]),
      );
      return adaptRows(graph, x, parameters, site.options);
    },
    signature: (layer) =>
      JSON.stringify([
        ROWS,
        ...[...base.architecture.sites(base.config), residualSite(base.config)].map(({ name }) => {
          const site = siteAt(layer, name);
          const shapes = Object.entries(site?.tensors ?? {}).map(([suffix, { shape }]) => [suffix, shape]);
          return site ? [name, site.options, shapes] : null;
        }),
      ]),
  };
}

/** The method of all adapters. @throws UsageError "usage/adapter" when there are several, or none */
function commonMethod(adapters: readonly (Adapter | null)[]): Method {
  const methods = [...new Set(adapters.flatMap((adapter) => (adapter ? [adapter.method] : [])))];
  const [method] = methods;
  if (method && methods.length === 1) return method;
  const names = methods.map(({ name }) => `"${name}"`).join(" and ");
  throw new UsageError(
    "usage/adapter",
    `Cannot put adapters in one batch: they are of ${names || "no method"}, expected one method`,
    { hint: "Run the requests of each method on their own" },
  );
}

/** Rows share the tensors of the base. @throws UsageError "usage/adapter" when an adapter has its own */
function refuseWholeTensors(base: BaseModel, adapters: readonly (Adapter | null)[]): void {
  for (const { name } of adapters.flatMap((adapter) => adapter?.parameters ?? [])) {
    if (!base.specs.has(name)) continue;
    throw new UsageError(
      "usage/adapter",
      `Cannot put adapters in one batch: one has a "${name}" of its own, expected the base's`,
      { hint: "Run the requests of that adapter on their own" },
    );
  }
}

async function stackSite(
  base: BaseModel,
  method: Method,
  adapters: readonly (Adapter | null)[],
  site: AdaptedSite,
): Promise<StackedSite> {
  const { path, layer } = site;
  if (layer === null) {
    throw new UsageError(
      "usage/adapter",
      `Cannot put adapters in one batch: one is on "${path}", expected modules of the blocks`,
      { hint: "Run the requests of that adapter on their own" },
    );
  }
  const forms: RowForm[] = [];
  for (const adapter of adapters) {
    const own = adapter?.sites.get(path);
    const tensors = own && adapter ? tensorsOf(adapter, own) : await untrained(base, method, site);
    const { spec, options } = own ?? site;
    forms.push(method.rowForm?.(tensors, spec, options) ?? { tensors, options });
  }
  const [first] = forms as [RowForm];
  for (const [index, { options }] of forms.entries()) {
    if (JSON.stringify(options) === JSON.stringify(first.options)) continue;
    throw new UsageError(
      "usage/adapter",
      `Cannot put adapters 1 and ${index + 1} in one batch: at "${path}" ${difference(first.options, options)}`,
      { hint: "Run the requests of adapters with other settings on their own" },
    );
  }
  const suffixes = [...new Set(forms.flatMap(({ tensors }) => Object.keys(tensors)))];
  const stack = (suffix: string) => stackTensors(forms.map(({ tensors }) => tensors[suffix] ?? null));
  return { options: first.options, tensors: Object.fromEntries(suffixes.map((s) => [s, stack(s)])) };
}

function tensorsOf(adapter: Adapter, { path, parameters, frozen }: AdaptedSite): SiteTensors {
  const suffixes = [...parameters, ...frozen].map(({ suffix }) => suffix);
  const find = (suffix: string): HostTensor => adapter.input(`${path}.${suffix}`) as HostTensor;
  return Object.fromEntries(suffixes.map((suffix) => [suffix, find(suffix)])) as SiteTensors;
}

/** Tensors of an adapter that changes nothing. @throws UsageError "usage/adapter" when the method has none such */
async function untrained(base: BaseModel, method: Method, site: AdaptedSite): Promise<SiteTensors> {
  const { path, spec, options } = site;
  if (method.startsAway) {
    throw new UsageError(
      "usage/adapter",
      `Cannot put adapters of method "${method.name}" in one batch with rows that have none at "${path}"`,
      { hint: "Run these requests on their own" },
    );
  }
  const trained = Object.fromEntries(
    site.parameters.map(({ suffix, shape }) => [suffix, zeros("float32", shape)]),
  );
  const weight = `${path}.weight`;
  const frozen = await method.start(
    {
      path,
      spec,
      random: new Random(0),
      trained,
      stored: () => base.source.stored(weight),
      weight: async () => (await base.values(weight)).data,
    },
    options,
  );
  return { ...trained, ...frozen } as SiteTensors;
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
function copyInto(
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
