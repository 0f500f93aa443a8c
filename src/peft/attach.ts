/** @file Puts a method on a model: makes its parameters with their initial values, and its frozen tensors. */
import { z } from "zod";
import { sizeAt } from "../graph/shape.ts";
import { ANYTHING, checkArguments, objectWith, lazily } from "../messages/arguments.ts";
import { A_BASE, type BaseModel, type WeightSource } from "../models/base/base-model.ts";
import type { Model } from "../models/model.ts";
import type { Random } from "../random.ts";
import type { HostTensor, Tensors } from "../runtime/host-tensor.ts";
import { RESIDENT, type VectorMemory, whileHeld } from "../runtime/memory/vector-memory.ts";
import { type AdapterView, type BoundTensor, viewAdapter } from "./adapter-view.ts";
import { type AdaptedSite, type AttachRequest, layOut } from "./layout.ts";
import { A_METHOD } from "./define-method.ts";
import { type Method, makesModel } from "./method.ts";
import { requireOwnType } from "./methods.ts";
import { type Parameter, type ParameterGroup, lengthOf, makeParameters } from "./parameters.ts";
import { SiteTensorSet } from "./site-tensors.ts";
import type { Targets } from "./sites/targets.ts";
import type { TrainedRows } from "./trained-base/trained-rows.ts";

/** A method on a model, with its parameters. */
export interface Adapter extends AdapterView {
  readonly method: Method;
  /** The base that it is attached to. */
  readonly base: BaseModel;
  readonly model: Model;
  readonly options: unknown;
  readonly targets: Targets;
  /** Adapted sites by path. */
  readonly sites: ReadonlyMap<string, AdaptedSite>;
  readonly parameters: readonly Parameter[];
  readonly groups: readonly ParameterGroup[];
  /** Number of all trainable values. */
  readonly numTrained: number;
  /** The memory of the trained values, which must be held while they are read or written. */
  readonly memory: VectorMemory;
  /** Frozen tensors that all sites share, by suffix. */
  readonly shared: ReadonlyMap<string, HostTensor>;
  /** Tensors of one of its sites, trained and frozen, by suffix; views. */
  tensorsOf(site: AdaptedSite): Tensors;
  /** A parameter's values by its name in files; null when nothing of this name is trained. A view, whose memory must be held. */
  tensor(name: string): HostTensor<"float32"> | null;
  /** The view for programs that write text, in which the tensors that the method wants bound are bound. The same object at every call. */
  forWriting(): AdapterView;
  /** Releases what it shares with other adapters of its base; afterwards only trained values may be read. */
  release(): void;
}

const MODULES = z.union([z.string(), z.array(z.string())]);
const ARGUMENTS = lazily(() =>
  z.strictObject({
    base: A_BASE,
    request: z.strictObject({
      method: A_METHOD,
      options: ANYTHING,
      targets: z
        .strictObject({
          modules: MODULES.nullish(),
          exclude: MODULES.optional(),
          layers: z.array(z.int().min(0)).nullish(),
        })
        .optional(),
    }),
    random: objectWith<Random>("a Random, or null", "uniform", "normal").nullable(),
  }),
);

/** Checks an adapter that a caller passes. */
export const AN_ADAPTER = objectWith<Adapter>(
  "an adapter, as attach() or readAdapter() returns it",
  "method",
  "sites",
  "parameters",
  "tensorsOf",
  "forWriting",
);

/**
 * Attaches a method to a model. The model does not change; its weights are read where initial values depend on them. `random`
 * null: trained tensors, and those in an adapter's file, are left for the caller to fill. `memory`: for the parameters if the
 * result is a whole model; adapters are small and stay in memory.
 * @throws UsageError "usage/flag" for bad options, "usage/target-modules" when the targets match nothing.
 */
export async function attach(
  base: BaseModel,
  request: AttachRequest,
  random: Random | null,
  memory: VectorMemory = RESIDENT,
): Promise<Adapter> {
  checkArguments("attach", ARGUMENTS, { base, request, random });
  const { method } = request;
  requireOwnType(method);
  const { model } = base;
  const layout = layOut(model, base.source, request);
  const { options, targets, sites } = layout;
  const own = makesModel(method) ? memory : RESIDENT;
  const { parameters, groups } = makeParameters(layout, own);
  const byName = new Map(parameters.map((parameter) => [parameter.name, parameter]));
  if (random !== null) await readTrainedBase(base, parameters, own);
  const copies: Record<string, HostTensor> = {};
  for (const name of copiedTensors(model, method, new Set(byName.keys()))) {
    copies[name] = await base.values(model.storedName(name));
  }
  // Made last, since only `release` gives back what it shares.
  const ofSites =
    method.kind === "adapter"
      ? await SiteTensorSet.create(base, { ...layout, method, parameters }, random)
      : null;
  const tensorsOf: Adapter["tensorsOf"] = (site) => ofSites?.of(site) ?? {};
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
    base,
    model,
    options,
    targets,
    sites,
    parameters,
    groups,
    numTrained: groups.reduce((sum, group) => sum + lengthOf(group), 0),
    memory: own,
    shared: ofSites?.shared ?? new Map(),
    tensorsOf,
    tensor: (name) => byName.get(name)?.value ?? null,
    release: () => ofSites?.release(),
  };
}

/** Reads the initial values of trained tensors of the base. */
async function readTrainedBase(
  { model, source }: BaseModel,
  parameters: readonly Parameter[],
  memory: VectorMemory,
): Promise<void> {
  for (const { owner, name, value } of parameters) {
    if (owner.kind === "site") continue;
    const { rows } = owner.tensor;
    const read = (): Promise<void> =>
      rows ? readRows(source, rows, value) : source.readInto(model.storedName(name), value.data);
    await whileHeld(memory, [value.data], "change", read);
  }
}

/** Reads some rows of a table of the base. */
async function readRows(
  source: WeightSource,
  { table, ids }: TrainedRows["rows"],
  { data, shape }: HostTensor<"float32">,
): Promise<void> {
  const width = sizeAt(shape, 1);
  for (const [i, id] of ids.entries())
    await source.readInto(table, data.subarray(i * width, (i + 1) * width), id * width);
}

/**
 * Lists tensors of the base that are tied to a trained one but not trained themselves: in an adapter's file each module stands
 * for itself, so a head does not change when only the embedding that it is tied to is trained. `trained`: names of parameters.
 */
export function copiedTensors(model: Model, method: Method, trained: ReadonlySet<string>): string[] {
  if (makesModel(method)) return [];
  return [...model.ties].flatMap(([own, tied]) => (trained.has(tied) && !trained.has(own) ? [own] : []));
}

/** Returns the frozen tensor of a site in the form that the method wants bound; adapters that share the tensor also share this form. */
export function bindForm(
  base: BaseModel,
  method: Method,
  { spec, options }: AdaptedSite,
  tensors: Tensors,
): BoundTensor | null {
  const form = method.kind === "adapter" ? method.frozen.bound(spec, options) : null;
  if (!form) return null;
  const kept = tensors[form.of]!;
  const tensor = base.derived.form(kept, form.spec.suffix, () => form.make(kept));
  return { of: form.of, spec: form.spec, tensor };
}
