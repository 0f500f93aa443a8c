/**
 * @file What a method would put on a model: the sites, their tensors and the memory that they need. No values are made or read
 * here, so a run can be planned before any weight is loaded.
 */
import { UsageError } from "../errors.ts";
import { parseSettings } from "../messages/problems.ts";
import type { WeightSource } from "../models/base/base-model.ts";
import type { Model } from "../models/model.ts";
import { type SiteSpec, residualSite, stackSites } from "../models/graphs/sites.ts";
import { type AdapterMethod, type Method, modulesToSave } from "./method.ts";
import type { FrozenSpec, ParameterSpec, SitePlace } from "./sites/site.ts";
import { selectParameters, withoutParameters } from "./sites/parameter-targets.ts";
import {
  type AskedTargets,
  type Targets,
  modulesOfRoles,
  selectTargets,
  withoutTrainedWhole,
} from "./sites/targets.ts";
import { trainedTensors } from "./trained-base/trained-tensors.ts";
import { type TrainedTensor, trainedRows } from "./trained-base/trained-rows.ts";

/** A site with an adapter. */
export interface AdaptedSite extends SitePlace {
  /** Null outside the blocks. */
  readonly layer: number | null;
  /** The method's options for this site. */
  readonly options: unknown;
  readonly parameters: readonly ParameterSpec[];
  readonly frozen: readonly FrozenSpec[];
}

/** A method with its options and targets, to be put on a model. */
export interface AttachRequest {
  readonly method: Method;
  /** Raw options, parsed here by the method's schema. */
  readonly options: unknown;
  /** Default: the method's own choice in all layers. */
  readonly targets?: Partial<AskedTargets>;
}

/** Which tensors a method puts where, before any values are made. */
export interface Layout {
  readonly model: Model;
  readonly options: unknown;
  readonly targets: Targets;
  readonly sites: ReadonlyMap<string, AdaptedSite>;
  readonly trainedBase: readonly TrainedTensor[];
}

/** How tensors of the base are stored. */
export type KeptAs = Pick<WeightSource, "storageOf" | "groupSizeOf">;

/** Picks the sites and lists what is trained there. @throws UsageError as `attach` */
export function layOut(model: Model, kept: KeptAs, request: AttachRequest): Layout {
  const { method } = request;
  const options = parseMethodOptions(method, request.options);
  const { modules: chosen, exclude = [], layers = null } = request.targets ?? {};
  const modules = chosen ?? defaultModules(method, model);
  const targets: Targets = { modules, exclude, layers };
  const sites =
    method.kind === "adapter"
      ? placeSites(model, kept, { method, options, targets })
      : new Map<string, AdaptedSite>();
  const trainedBase = [
    ...trainedTensors(model, method, options, sites),
    ...trainedRows(model, method, options, sites),
  ];
  // Files of adapters without sites list no modules, so an empty choice is allowed.
  if (method.kind === "base" && (modules.length > 0 || layers !== null)) {
    throw new UsageError(
      "usage/target-modules",
      `Cannot restrict method "${method.name}" to modules or layers: it trains tensors of the base, not modules`,
      { hint: "Leave target modules and layers out, or choose an adapter method." },
    );
  }
  return { model, options, targets, sites, trainedBase };
}

function defaultModules(method: Method, { layers }: Model): Targets["modules"] {
  const sites = [...new Set(layers)].flatMap((layer) => layer.sites);
  return method.kind === "adapter" ? modulesOfRoles(method.targets.roles, sites) : [];
}

/** `AttachRequest`, parsed and with defaults. */
interface ChosenSites {
  readonly method: AdapterMethod;
  readonly options: unknown;
  readonly targets: Targets;
}

/** A place that was picked. */
type Selected = Pick<AdaptedSite, "path" | "layer" | "spec" | "parameter">;

function placeSites(model: Model, kept: KeptAs, chosen: ChosenSites): Map<string, AdaptedSite> {
  const { method, options } = chosen;
  const selected = selectSites(model, chosen);
  const specs = selected.map(({ spec }) => spec);
  const configure = method.configure(options);
  return new Map(
    selected.map(({ path, layer, spec, parameter }): [string, AdaptedSite] => {
      refuseLookup(method, path, spec);
      // The residual stream and stacks have no weight and so no storage kind; for matrices stored as [in, out] the codes are
      // those of the transpose.
      const isPlain = (spec.kind === "linear" || spec.kind === "embedding") && !spec.storedTransposed;
      const name = model.storedName(`${path}.weight`);
      const storage = isPlain ? kept.storageOf(name) : "f32";
      const groupSize = isPlain ? kept.groupSizeOf(name) : null;
      const own = parameter === undefined ? {} : { parameter };
      const place: SitePlace = { path, spec, storage, groupSize, sites: specs, ...own };
      const siteOptions = configure(place);
      const parameters = method.trained.specs(spec, siteOptions);
      const frozen = method.frozen.specs(spec, siteOptions);
      refuseDoubleNames(method, path, [...parameters, ...frozen]);
      return [path, { ...place, layer, options: siteOptions, parameters, frozen }];
    }),
  );
}

/** Picks the places that get an adapter: modules by the targets, and parameters by name if the method has such targets. */
function selectSites(model: Model, { method, options, targets }: ChosenSites): readonly Selected[] {
  const { residual, parameters: ofMethod } = method.targets;
  const inBlocks = model.layers.flatMap((_, layer) =>
    placesOf(model, layer)
      .filter(({ kind }) => kind !== "residual" || residual)
      .map((spec) => ({ path: model.blockPrefix(layer) + spec.name, layer, spec })),
  );
  const outside = model.sitesOutsideBlocks.map((spec) => ({ path: spec.name, layer: null, spec }));
  const all = [...inBlocks, ...outside];
  const modules = all.filter(({ spec }) => spec.kind !== "stack");
  const matched = selectTargets(modules, targets);
  const whole = withoutTrainedWhole(matched, modulesToSave(method, options) ?? [], targets);
  const parameters = selectParameters(all, ofMethod === "modules-only" ? [] : ofMethod.names(options));
  return [...withoutParameters(whole, parameters), ...parameters];
}

/** Lists the places of a block, or (`layer` null) outside the blocks, where adapters may sit. */
export function placesOf(model: Model, layer: number | null): readonly SiteSpec[] {
  if (layer === null) return model.sitesOutsideBlocks;
  const { sites } = model.layers[layer] ?? { sites: [] };
  return [...sites, ...stackSites(sites), residualSite(model.width)];
}

/** Refuses tensors of a site with the same name, or with the name of a tensor of the base. */
function refuseDoubleNames(method: Method, path: string, tensors: readonly ParameterSpec[]): void {
  const names = ["weight", "bias", ...tensors.map(({ suffix }) => suffix)];
  const double = names.find((name, i) => names.indexOf(name) < i);
  if (double === undefined) return;
  throw new UsageError(
    "usage/flag",
    `Cannot use method "${method.name}" at "${path}": two tensors are called "${double}", expected a name for each`,
    { hint: "Give each a suffix of its own, other than weight and bias." },
  );
}

function refuseLookup(method: AdapterMethod, path: string, { kind }: SiteSpec): void {
  if (kind !== "embedding" || method.lookup !== "not-on-embeddings") return;
  throw new UsageError(
    "usage/target-modules",
    `Cannot put method "${method.name}" on "${path}": it is an embedding, expected a projection`,
    { hint: `Leave "${path}" out of the target modules.` },
  );
}

/** Returns a function that finds a site by its layer (null: outside the blocks) and its name there. */
export function indexSites(
  sites: Iterable<AdaptedSite>,
): (layer: number | null, name: string) => AdaptedSite | undefined {
  const byLayer = new Map<number | null, Map<string, AdaptedSite>>();
  for (const site of sites) {
    const layer = byLayer.get(site.layer) ?? new Map<string, AdaptedSite>();
    byLayer.set(site.layer, layer.set(site.spec.name, site));
  }
  return (layer, name) => byLayer.get(layer)?.get(name);
}

/** Parses a method's options. @throws UsageError "usage/flag" that lists every problem. */
export function parseMethodOptions(method: Method, raw: unknown): unknown {
  return parseSettings(
    method.options,
    raw,
    `options of method "${method.name}"`,
    "See graft train --help for the options of each method.",
  );
}
