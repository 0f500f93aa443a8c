/** @file Puts a method on a model: makes its parameters, their first values, and what stays frozen beside them. */
import { sameShape, showShape } from "../graph/shape.ts";
import { assertInternal } from "../errors.ts";
import type { BaseModel } from "../models/base/base-model.ts";
import type { DerivedLease } from "../models/base/derived-tensors.ts";
import type { Model } from "../models/model.ts";
import type { Random } from "../random.ts";
import { type HostTensor, zeros } from "../runtime/host-tensor.ts";
import { RESIDENT, type VectorMemory, whileHeld } from "../runtime/memory/vector-memory.ts";
import { type AdapterView, type BoundTensor, viewAdapter } from "./adapter-view.ts";
import { type AdaptedSite, type AttachRequest, layOut } from "./layout.ts";
import { type AdapterMethod, type Method, configFileOf } from "./method.ts";
import { type Parameter, type ParameterGroup, lengthOf, makeParameters } from "./parameters.ts";
import type { SiteStart, SiteTensors } from "./sites/site.ts";
import { weightOf } from "./sites/site-weight.ts";
import type { Targets } from "./sites/targets.ts";

/** A method on a model, with its parameters. */
export interface Adapter extends AdapterView {
  readonly method: Method;
  /** What it is on. */
  readonly model: Model;
  readonly options: unknown;
  readonly targets: Targets;
  /** By path. */
  readonly sites: ReadonlyMap<string, AdaptedSite>;
  readonly parameters: readonly Parameter[];
  readonly groups: readonly ParameterGroup[];
  /** Trainable numbers, all together. */
  readonly numTrained: number;
  /** Where these are; they are held while they are read or written. */
  readonly memory: VectorMemory;
  /** Frozen tensors that all sites share, by suffix. */
  readonly shared: ReadonlyMap<string, HostTensor>;
  /** Tensors of one of its sites, trained and frozen, by suffix; views. */
  tensorsOf(site: AdaptedSite): Readonly<Record<string, HostTensor>>;
  /** A parameter's numbers by its name in files, or null when nothing of this name is trained; a view, to be held. */
  tensor(name: string): HostTensor<"float32"> | null;
  /** Itself as programs read it that write text: what the method would have bound is bound. The same at every call. */
  forWriting(): AdapterView;
  /** Gives back what it shares with other adapters of its base; after it only trained numbers may be read. */
  release(): void;
}

/**
 * Attaches a method to a model; the model is read where values are made from its weights, and stays as it is. `random`
 * null: what is trained, or lies in an adapter's file, is left for whoever fills it in. `memory`: of what is trained,
 * where the result is a whole model; adapters are small, and stay in memory.
 * @throws UsageError "usage/flag" for bad options, "usage/target-modules" when the targets match nothing.
 */
export async function attach(
  base: BaseModel,
  request: AttachRequest,
  random: Random | null,
  memory: VectorMemory = RESIDENT,
): Promise<Adapter> {
  const { method } = request;

  const { model } = base;
  const layout = layOut(model, base.source, request);
  const { options, targets, sites } = layout;
  const own = configFileOf(method) === null ? memory : RESIDENT;
  const { parameters, groups } = makeParameters(layout, own);
  const byName = new Map(parameters.map((parameter) => [parameter.name, parameter]));
  const tensors = new Map<AdaptedSite, Record<string, HostTensor>>();
  for (const site of sites.values()) tensors.set(site, {});
  for (const { owner, name, value } of parameters) {
    if (owner.kind === "site") (tensors.get(owner.site) as Record<string, HostTensor>)[owner.suffix] = value;
    else if (random !== null) {
      await whileHeld(own, [value.data], "change", async () =>
        base.source.readInto(base.model.storedName(name), value.data),
      );
    }
  }
  const shared = new Map<string, HostTensor>();
  const leases: DerivedLease[] = [];
  const release = (): void => {
    for (const lease of leases.splice(0)) lease.release();
  };
  if (method.kind === "adapter") {
    const specs = [...sites.values()].map(({ spec }) => spec);
    const isDrawn = random !== null || [...sites.values()].some(drawsAgain);
    const drawn = isDrawn ? method.frozen.share(specs, options) : {};
    for (const [suffix, tensor] of Object.entries(drawn)) shared.set(suffix, tensor);
    try {
      for (const [site, own] of tensors) await fillSite(base, method, site, own, shared, leases, random);
    } catch (error) {
      release();
      throw error;
    }
  }
  const copies: Record<string, HostTensor> = {};
  for (const own of copiedTensors(model, method, new Set(byName.keys()))) {
    copies[own] = await base.values(model.storedName(own));
  }
  const tensorsOf = (site: AdaptedSite): Readonly<Record<string, HostTensor>> => tensors.get(site) ?? {};
  const parts = { ...layout, method, parameters, tensorsOf, copies };
  let writing: AdapterView | null = null;
  return {
    ...viewAdapter({ ...parts, boundOf: () => null }),
    forWriting: () =>
      (writing ??= viewAdapter({
        ...parts,
        boundOf: (site) => bindForm(base, method, site, tensorsOf(site)),
      })),
    method,
    model,
    options,
    targets,
    sites,
    parameters,
    groups,
    numTrained: groups.reduce((sum, group) => sum + lengthOf(group), 0),
    memory: own,
    shared,
    tensorsOf,
    tensor: (name) => byName.get(name)?.value ?? null,
    release,
  };
}

/**
 * Tensors of the base that are tied to a trained one and stay as they are: an adapter's file means each module by itself,
 * so a head stays when the embedding that it is tied to is trained. `trained`: names of parameters.
 */
export function copiedTensors(model: Model, method: Method, trained: ReadonlySet<string>): string[] {
  if (configFileOf(method) === null) return [];
  return [...model.ties].flatMap(([own, tied]) => (trained.has(tied) && !trained.has(own) ? [own] : []));
}

/** Whether a site shares what an adapter's file leaves out. */
function drawsAgain({ frozen }: AdaptedSite): boolean {
  return frozen.some(({ shared, saved }) => shared && !saved);
}

/** Adds the frozen tensors of a site to `tensors` and, for a fresh adapter, fills the trained ones. */
async function fillSite(
  base: BaseModel,
  method: AdapterMethod,
  site: AdaptedSite,
  tensors: Record<string, HostTensor>,
  shared: Map<string, HostTensor>,
  leases: DerivedLease[],
  random: Random | null,
): Promise<void> {
  const { path, options } = site;
  for (const spec of site.frozen) {
    if (spec.saved && !spec.shared) tensors[spec.suffix] = zeros("float32", spec.shape);
  }
  const start: SiteStart = {
    ...site,
    tensors: { ...tensors } as SiteTensors,
    ...weightOf(base, path),
    shareOnBase: async (key, make) => {
      const lease = await base.derived.acquire(JSON.stringify([method.name, path, key]), make);
      leases.push(lease);
      return lease.tensors;
    },
  };
  const made = await method.frozen.freeze(start, options);
  if (random !== null) await method.trained.init(start, options, random);
  for (const spec of site.frozen) {
    const { suffix, shape, dtype } = spec;
    if (spec.shared && random === null && !shared.has(suffix)) shared.set(suffix, zeros(dtype, shape));
    const found = spec.shared ? shared.get(suffix) : (made[suffix] ?? tensors[suffix]);
    assertInternal(
      found?.dtype === dtype && sameShape(found.shape, shape),
      `frozen tensor ${suffix} of ${path} is ${found ? `${found.dtype} ${showShape(found.shape)}` : "missing"}, expected ${dtype} ${showShape(shape)}`,
    );
    tensors[suffix] = found;
  }
}

/** A frozen tensor of a site in the form in which the method has it bound, which all adapters that share it share too. */
export function bindForm(
  base: BaseModel,
  method: Method,
  { spec, options }: AdaptedSite,
  tensors: Readonly<Record<string, HostTensor>>,
): BoundTensor | null {
  const form = method.kind === "adapter" ? method.frozen.bound(spec, options) : null;
  if (!form) return null;
  const kept = tensors[form.of] as HostTensor;
  const tensor = base.derived.form(kept, form.spec.suffix, () => form.make(kept));
  return { of: form.of, spec: form.spec, tensor };
}
