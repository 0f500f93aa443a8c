/**
 * @file Puts a method on a model: picks the sites, makes the parameters, says which programs the blocks need.
 *
 * All trainable numbers lie in one vector, those of one tensor side by side, so that clipping, the optimizer and
 * checkpoints see one array. Nothing here is written for one method.
 */
import { assertInternal, UsageError } from "../errors.ts";
import { DTYPES } from "../graph/dtype.ts";
import type { Value } from "../graph/graph.ts";
import {
  type Architecture,
  type ModelConfig,
  type SiteSpec,
  type TensorSpec,
  headTensor,
  outerSites,
  residualSite,
} from "../models/architecture.ts";
import type { BaseModel } from "../models/base-model.ts";
import type { LookupGraph, Projector, SiteGraph } from "../models/block-graph.ts";
import type { StorageName } from "../quant/storages.ts";
import type { Random } from "../random.ts";
import { type HostTensor, hostTensor, numElements } from "../runtime/host-tensor.ts";
import type { FrozenSpec, Method, ParameterSpec, SiteParameters, SiteTensors } from "./method.ts";
import { type Targets, selectTargets } from "./targets.ts";
import { storedName, trainedTensors } from "./trained-tensors.ts";

/** One trainable tensor. */
export interface Parameter {
  /** Full path: "model.layers.0.self_attn.q_proj.lora_A.weight", or the name of a base tensor. */
  readonly name: string;
  readonly shape: readonly number[];
  /** Where it begins in the vector of all trainable numbers. */
  readonly offset: number;
  readonly length: number;
}

/** A site with an adapter. */
export interface AdaptedSite {
  /** Full module path. */
  readonly path: string;
  /** Null outside the blocks. */
  readonly layer: number | null;
  readonly spec: SiteSpec;
  /** The method's options for this site. */
  readonly options: unknown;
  readonly parameters: readonly ParameterSpec[];
  readonly frozen: readonly FrozenSpec[];
}

/** What is put on a model. */
export interface AttachRequest {
  readonly method: Method;
  /** Parsed by the method's schema here. */
  readonly options: unknown;
  /** `modules` null: the method's own choice for the family. */
  readonly targets: Omit<Targets, "modules"> & { readonly modules: Targets["modules"] | null };
}

/** What the programs of a model need to know of what sits on it. `layer` null: outside the blocks. */
export interface Overlay {
  /** Builds the projections of a block. */
  projector(layer: number | null): Projector;
  /** Builds the look-up of embeddings. */
  lookUp(graph: LookupGraph): Value;
  /** Equal for blocks that can share programs. */
  signature(layer: number): string;
  /** What is trained. */
  readonly parameters: readonly Parameter[];
  /** Whatever a program reads by the full name of a tensor instead of the base, or beside it; null: nothing. */
  input(name: string): HostTensor | null;
}

/** A method on a model, with its parameters. */
export interface Adapter extends Overlay {
  readonly method: Method;
  readonly options: unknown;
  readonly targets: Targets;
  readonly sites: ReadonlyMap<string, AdaptedSite>;
  /** All trainable numbers. */
  readonly values: Float32Array;
  /** View of one parameter, or null when nothing of this name is trained. */
  tensor(name: string): HostTensor<"float32"> | null;
  /** Tensors that are not trained, by full name; those that all sites share by their suffix. */
  readonly frozen: ReadonlyMap<string, HostTensor>;
}

/** What a method puts where, before any number is made. */
interface Layout {
  readonly options: unknown;
  readonly targets: Targets;
  readonly sites: ReadonlyMap<string, AdaptedSite>;
  readonly trainedBase: readonly TensorSpec[];
}

type StorageOf = (name: string) => StorageName;

function layOut(
  architecture: Architecture,
  config: ModelConfig,
  storageOf: StorageOf,
  request: AttachRequest,
): Layout {
  const { method } = request;
  const options = parseOptions(method, request.options);
  const modules = request.targets.modules ?? method.defaultTargets(config.modelType);
  const targets: Targets = { ...request.targets, modules };
  const inBlocks = Array.from({ length: config.numLayers }, (_, layer) =>
    placesOf(architecture, config)
      .filter(({ kind }) => kind !== "residual" || method.adaptsResidual)
      .map((spec) => ({
        path: architecture.names.blockPrefix(layer) + spec.name,
        layer,
        spec,
        isInAllLinear: spec.kind === "linear",
      })),
  ).flat();
  const outside = outerSites(architecture, config).map((spec) => ({
    path: spec.name,
    layer: null,
    spec,
    isInAllLinear: false,
  }));
  const selected = selectTargets([...inBlocks, ...outside], targets);
  const specs = selected.map(({ spec }) => spec);
  const sites = new Map(
    selected.map(({ path, layer, spec }): [string, AdaptedSite] => {
      refuseLookup(method, path, spec);
      // The residual stream is nothing that is kept.
      const storage =
        spec.kind === "residual" ? "f32" : storageOf(storedName(architecture, config, `${path}.weight`));
      const siteOptions = method.configure(options, { path, spec, storage, sites: specs });
      const parameters = method.parameters(spec, siteOptions);
      const frozen = method.frozen?.(spec, siteOptions) ?? [];
      return [path, { path, layer, spec, options: siteOptions, parameters, frozen }];
    }),
  );
  const trainedBase = trainedTensors(architecture, config, method, options, sites);
  // The file of an adapter without sites says that it has none.
  const isRestricted = (request.targets.modules ?? []).length > 0 || request.targets.layers !== null;
  if (isRestricted && trainedBase.length > 0 && [...sites.values()].every((s) => s.parameters.length === 0)) {
    throw new UsageError(
      "usage/target-modules",
      `Cannot restrict method "${method.name}" to modules or layers: it trains tensors of the base, not modules`,
      { hint: "Leave target modules and layers out, or choose a method of adapters" },
    );
  }
  return { options, targets, sites, trainedBase };
}

/** The places of a block where adapters may sit. */
function placesOf(architecture: Architecture, config: ModelConfig): SiteSpec[] {
  return [...architecture.sites(config), residualSite(config)];
}

function refuseLookup(method: Method, path: string, { kind }: SiteSpec): void {
  if (kind !== "embedding" || method.adaptLookup) return;
  throw new UsageError(
    "usage/target-modules",
    `Cannot put method "${method.name}" on "${path}": an embedding, expected projections`,
    { hint: `Leave "${path}" out of the target modules` },
  );
}

/** What `attach` would do, known before any weight is read. */
export interface Preview {
  /** Modules that would get an adapter. */
  readonly paths: readonly string[];
  readonly numTrained: number;
  /** Memory of the tensors beside the base that are not trained. */
  readonly frozenBytes: number;
}

/** Looks ahead at `attach`. @throws as `attach`. */
export function previewAttach(
  architecture: Architecture,
  config: ModelConfig,
  storageOf: StorageOf,
  request: AttachRequest,
): Preview {
  const { sites, trainedBase } = layOut(architecture, config, storageOf, request);
  const all = [...sites.values()];
  const trained = [...trainedBase, ...all.flatMap((site) => site.parameters)];
  const frozen = all.flatMap((site) => site.frozen);
  const shared = new Map(frozen.filter((spec) => spec.shared).map((spec) => [spec.suffix, spec]));
  const held = [...frozen.filter((spec) => !spec.shared), ...shared.values()];
  return {
    paths: [...sites.keys()],
    numTrained: trained.reduce((sum, { shape }) => sum + numElements(shape), 0),
    frozenBytes: held.reduce(
      (sum, { shape, dtype }) => sum + numElements(shape) * DTYPES[dtype].sizeBytes,
      0,
    ),
  };
}

/**
 * Attaches a method to a model; the model is read where start values are made from its weights, and stays as it is.
 * @throws UsageError "usage/flag" for bad options, "usage/target-modules" when the targets match nothing.
 */
export async function attach(base: BaseModel, request: AttachRequest, random: Random): Promise<Adapter> {
  const { method } = request;
  const { architecture, config } = base;
  const layout = layOut(architecture, config, (name) => base.source.storageOf(name), request);
  const { options, targets, sites, trainedBase } = layout;
  let offset = 0;
  const named = [
    ...trainedBase,
    ...[...sites.values()].flatMap((site) =>
      site.parameters.map(({ suffix, shape }) => ({ name: `${site.path}.${suffix}`, shape })),
    ),
  ];
  const parameters = named.map(({ name, shape }): Parameter => {
    const parameter = { name, shape, offset, length: numElements(shape) };
    offset += parameter.length;
    return parameter;
  });
  const values = new Float32Array(offset);
  const views = new Map(
    parameters.map(({ name, shape, offset: from, length }) => [
      name,
      hostTensor("float32", shape, values.subarray(from, from + length)),
    ]),
  );
  const tensor = (name: string): HostTensor<"float32"> | null => views.get(name) ?? null;
  for (const { name } of trainedBase) {
    tensor(name)?.data.set((await base.values(storedName(architecture, config, name))).data);
  }
  const frozen = new Map<string, HostTensor>(
    Object.entries(
      method.shared?.(
        [...sites.values()].map(({ spec }) => spec),
        options,
      ) ?? {},
    ),
  );
  for (const site of sites.values()) await startSite(base, method, site, tensor, frozen, random);
  // An adapter's file means each module by itself, so a head stays when the embedding that it is tied to is trained.
  const { head } = architecture.names;
  const tied = headTensor(architecture, config);
  if (method.peftType !== "none" && tied !== head && tensor(tied) && !tensor(head))
    frozen.set(head, base.outer(tied));

  const siteAt = (layer: number | null, { name }: SiteSpec): AdaptedSite | undefined =>
    sites.get((layer === null ? "" : architecture.names.blockPrefix(layer)) + name);
  const signatures = Array.from({ length: config.numLayers }, (_, layer) =>
    JSON.stringify(
      placesOf(architecture, config).map((spec) => {
        const site = siteAt(layer, spec);
        return site ? [spec.name, site.options, site.parameters.map((p) => p.shape), site.frozen] : null;
      }),
    ),
  );
  const inputsOf = (site: AdaptedSite, graph: Pick<SiteGraph, "input">): SiteParameters =>
    Object.fromEntries(
      [...site.parameters.map((p) => ({ ...p, dtype: "float32" as const })), ...site.frozen].map(
        ({ suffix, shape, dtype }) => [suffix, graph.input(suffix, shape, dtype)],
      ),
    );
  return {
    method,
    options,
    targets,
    sites,
    parameters,
    values,
    frozen,
    tensor,
    input: (name) => tensor(name) ?? frozen.get(name) ?? sharedOf(sites, frozen, name),
    projector: (layer) => (graph, x) => {
      const site = siteAt(layer, graph.spec);
      return site ? method.adapt(graph, x, inputsOf(site, graph), site.options) : graph.project(x);
    },
    lookUp: (graph) => {
      const site = siteAt(null, graph.spec);
      return (site && method.adaptLookup?.(graph, inputsOf(site, graph), site.options)) ?? graph.rows;
    },
    signature: (layer) => signatures[layer] as string,
  };
}

/** Trained tensors of a site, by suffix; views. */
export function siteTensors(
  { path, parameters }: AdaptedSite,
  tensor: (name: string) => HostTensor<"float32"> | null,
): SiteTensors {
  return Object.fromEntries(
    parameters.map(({ suffix }) => [suffix, tensor(`${path}.${suffix}`) as HostTensor<"float32">]),
  );
}

async function startSite(
  base: BaseModel,
  method: Method,
  site: AdaptedSite,
  tensor: (name: string) => HostTensor<"float32"> | null,
  frozen: Map<string, HostTensor>,
  random: Random,
): Promise<void> {
  const { path, spec } = site;
  const weight = storedName(base.architecture, base.config, `${path}.weight`);
  const made = await method.start(
    {
      path,
      spec,
      random,
      trained: siteTensors(site, tensor),
      stored: () => base.source.stored(weight),
      weight: async () => (await base.values(weight)).data,
    },
    site.options,
  );
  for (const { suffix, shape, dtype, shared } of site.frozen) {
    const found = shared ? frozen.get(suffix) : made?.[suffix];
    assertInternal(
      found?.dtype === dtype && found.shape.join() === shape.join(),
      `frozen tensor ${suffix} of ${path} is ${found?.dtype} [${found?.shape.join(", ")}], expected ${dtype} [${shape.join(", ")}]`,
    );
    if (!shared) frozen.set(`${path}.${suffix}`, found);
  }
}

/** Finds a tensor that all sites share by its name at one of them. */
function sharedOf(
  sites: ReadonlyMap<string, AdaptedSite>,
  frozen: ReadonlyMap<string, HostTensor>,
  name: string,
): HostTensor | null {
  for (const { suffix, shared } of [...sites.values()][0]?.frozen ?? []) {
    if (!shared || !name.endsWith(`.${suffix}`)) continue;
    if (sites.has(name.slice(0, -suffix.length - 1))) return frozen.get(suffix) ?? null;
  }
  return null;
}

/** Parses a method's options. @throws UsageError "usage/flag" that lists every problem. */
export function parseOptions(method: Method, raw: unknown): unknown {
  const parsed = method.options.safeParse(raw);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(
    (issue) => `${issue.path.join(".") || "options"}: ${issue.message}`,
  );
  throw new UsageError(
    "usage/flag",
    `Cannot use options of method "${method.name}": ${problems.join("; ")}`,
    {
      hint: "See graft train --help for the options of each method",
    },
  );
}
