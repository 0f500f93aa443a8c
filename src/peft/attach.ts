/**
 * @file Puts a method on a model: picks the sites, makes the parameters, says which programs the blocks need.
 *
 * All trainable numbers lie in one vector, those of one tensor side by side, so that clipping, the optimizer and
 * checkpoints see one array. Nothing here is written for one method.
 */
import { UsageError } from "../errors.ts";
import {
  type Architecture,
  type ModelConfig,
  type SiteSpec,
  type TensorSpec,
  modelTensors,
} from "../models/architecture.ts";
import type { Projector } from "../models/block-graph.ts";
import type { Random } from "../random.ts";
import { type HostTensor, hostTensor, numElements } from "../runtime/host-tensor.ts";
import type { Method, ParameterSpec, SiteParameters } from "./method.ts";
import { type Targets, selectTargets } from "./targets.ts";

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
  readonly layer: number;
  readonly spec: SiteSpec;
  /** The method's options for this site. */
  readonly options: unknown;
  readonly parameters: readonly ParameterSpec[];
}

/** What `attach` needs. */
export interface AttachOptions {
  readonly method: Method;
  /** Parsed by the method's schema here. */
  readonly options: unknown;
  /** `modules` null: the method's own choice for the family. */
  readonly targets: Omit<Targets, "modules"> & { readonly modules: Targets["modules"] | null };
  readonly random: Random;
  /** Values of a base tensor, for methods that train it. */
  readonly baseValues: (name: string) => Promise<Float32Array>;
}

/** A method on a model, with its parameters. */
export interface Adapter {
  readonly method: Method;
  readonly options: unknown;
  readonly targets: Targets;
  readonly sites: ReadonlyMap<string, AdaptedSite>;
  readonly parameters: readonly Parameter[];
  /** All trainable numbers. */
  readonly values: Float32Array;
  /** View of one parameter, or null when nothing of this name is trained. */
  tensor(name: string): HostTensor<"float32"> | null;
  /** Builds the projections of a block. */
  projector(layer: number): Projector;
  /** Equal for blocks that can share programs. */
  signature(layer: number): string;
}

/** What a method puts where, before any number is made. */
interface Layout {
  readonly options: unknown;
  readonly targets: Targets;
  readonly sites: ReadonlyMap<string, AdaptedSite>;
  readonly trainedBase: readonly TensorSpec[];
}

function layOut(
  architecture: Architecture,
  config: ModelConfig,
  request: Pick<AttachOptions, "method" | "options" | "targets">,
): Layout {
  const { method } = request;
  const options = parseOptions(method, request.options);
  const modules = request.targets.modules ?? method.defaultTargets(config.modelType);
  const targets: Targets = { ...request.targets, modules };
  const candidates = Array.from({ length: config.numLayers }, (_, layer) =>
    architecture.sites(config).map((spec) => ({
      path: architecture.names.blockPrefix(layer) + spec.name,
      layer,
      spec,
    })),
  ).flat();
  const sites = new Map(
    selectTargets(candidates, targets).map(({ path, layer, spec }): [string, AdaptedSite] => {
      const siteOptions = method.configure(options, path);
      const parameters = method.parameters(spec, siteOptions);
      return [path, { path, layer, spec, options: siteOptions, parameters }];
    }),
  );
  const trainedBase = modelTensors(architecture, config).filter((tensor) => method.trainsBase(tensor));
  const isRestricted = request.targets.modules !== null || request.targets.layers !== null;
  if (isRestricted && trainedBase.length > 0 && [...sites.values()].every((s) => s.parameters.length === 0)) {
    throw new UsageError(
      "usage/target-modules",
      `Cannot restrict method "${method.name}" to modules or layers: it trains tensors of the base, not modules`,
      { hint: "Leave target modules and layers out, or choose a method of adapters" },
    );
  }
  return { options, targets, sites, trainedBase };
}

/** Counts the numbers that `attach` would make trainable. @throws as `attach`. */
export function countParameters(
  architecture: Architecture,
  config: ModelConfig,
  request: Pick<AttachOptions, "method" | "options" | "targets">,
): number {
  const { sites, trainedBase } = layOut(architecture, config, request);
  const shapes = [...trainedBase, ...[...sites.values()].flatMap((site) => site.parameters)];
  return shapes.reduce((sum, { shape }) => sum + numElements(shape), 0);
}

/**
 * Attaches a method to a model.
 * @throws UsageError "usage/flag" for bad options, "usage/target-modules" when the targets match nothing.
 */
export async function attach(
  architecture: Architecture,
  config: ModelConfig,
  request: AttachOptions,
): Promise<Adapter> {
  const { method, random } = request;
  const { options, targets, sites, trainedBase } = layOut(architecture, config, request);
  const inits = [
    ...trainedBase.map(({ name, shape }) => ({
      name,
      shape,
      init: async (values: Float32Array) => values.set(await request.baseValues(name)),
    })),
    ...[...sites.values()].flatMap((site) =>
      site.parameters.map((parameter) => ({
        name: `${site.path}.${parameter.suffix}`,
        shape: parameter.shape,
        init: async (values: Float32Array) => parameter.init(values, random),
      })),
    ),
  ];
  let offset = 0;
  const parameters = inits.map(({ name, shape }): Parameter => {
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
  for (const { name, init } of inits) await init(views.get(name)?.data as Float32Array);

  return {
    method,
    options,
    targets,
    sites,
    parameters,
    values,
    tensor: (name) => views.get(name) ?? null,
    projector: (layer) => (graph, x) => {
      const site = sites.get(architecture.names.blockPrefix(layer) + graph.spec.name);
      if (!site) return graph.project(x);
      const inputs: SiteParameters = Object.fromEntries(
        site.parameters.map(({ suffix, shape }) => [suffix, graph.input(suffix, shape)]),
      );
      return method.adapt(graph, x, inputs, site.options);
    },
    signature: (layer) =>
      JSON.stringify(
        architecture.sites(config).map((spec) => {
          const site = sites.get(architecture.names.blockPrefix(layer) + spec.name);
          return site ? [spec.name, site.options, site.parameters.map((p) => p.shape)] : null;
        }),
      ),
  };
}

/** Parses a method's options. @throws UsageError "usage/flag" that lists every problem. */
function parseOptions(method: Method, raw: unknown): unknown {
  const parsed = method.options.safeParse(raw);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(
    (issue) => `${issue.path.join(".") || "options"}: ${issue.message}`,
  );
  throw new UsageError("usage/flag", `Cannot use options of method "${method.name}": ${problems.join("; ")}`);
}
