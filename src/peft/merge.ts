/**
 * @file Merges an adapter into the base: the weights of an ordinary model that computes the same. Written once for all
 * methods; a method says only how one projection's weights change.
 */
import { UsageError } from "../errors.ts";
import { Graph, type Value } from "../graph/graph.ts";
import { neededInputs } from "../graph/program.ts";
import { headTensor } from "../models/architecture.ts";
import { BaseModel } from "../models/base-model.ts";
import type { Engine, Program } from "../runtime/engine.ts";
import { type HostTensor, hostTensor, zeros } from "../runtime/host-tensor.ts";
import type { AdaptedSite, Adapter } from "./attach.ts";
import type { SiteWeights } from "./method.ts";
import { storedName } from "./trained-tensors.ts";

type Part = "weight" | "bias";

/** Computes merged tensors one at a time, by Hugging Face name. */
export class Merger {
  readonly #engine: Engine;
  readonly #base: BaseModel;
  readonly #adapter: Adapter;
  /** Sites of equal sizes and options share a program; null: the tensor stays as it is. */
  readonly #programs = new Map<string, Promise<Program | null>>();

  /** @throws UsageError "usage/adapter" when the method's result is not a change of weights. */
  constructor(engine: Engine, base: BaseModel, adapter: Adapter) {
    const { name, merge } = adapter.method;
    if (merge === "not-mergeable") {
      throw new UsageError(
        "usage/adapter",
        `Cannot merge an adapter of method "${name}": its result is not a change of weights`,
        { hint: "Use the adapter beside its base model" },
      );
    }
    const residual = [...adapter.sites.values()].find(({ spec }) => spec.kind === "residual");
    if (residual) {
      throw new UsageError(
        "usage/adapter",
        `Cannot merge an adapter on "${residual.path}": it changes the stream between blocks, which has no weight`,
        { hint: "Use the adapter beside its base model" },
      );
    }
    this.#engine = engine;
    this.#base = base;
    this.#adapter = adapter;
  }

  /**
   * Names of the tensors that the adapter may change. An adapter of the embedding changes the look-up alone, one of the
   * head the head alone: where the two share a matrix, the head is among them, and gets one of its own.
   */
  names(): string[] {
    const { architecture, config } = this.#base;
    const { head } = architecture.names;
    const trained = this.#adapter.parameters.filter(
      ({ name }) => this.#base.specs.has(name) || name === head,
    );
    const ofSites = [...this.#adapter.sites.values()].flatMap(({ path, spec }) =>
      spec.bias ? [`${path}.weight`, `${path}.bias`] : [`${path}.weight`],
    );
    const names = new Set([...trained.map(({ name }) => name), ...ofSites]);
    const tied = headTensor(architecture, config);
    if (tied !== head && names.has(tied) && this.#adapter.method.peftType !== "none") names.add(head);
    return [...names];
  }

  /** The shape of a tensor of the merged model. */
  shapeOf(name: string): readonly number[] {
    const { architecture, config, specs } = this.#base;
    return specs.get(storedName(architecture, config, name))?.shape ?? [];
  }

  /** Writes the merged values of a tensor into memory of the caller; false, and nothing, when it stays as it is. */
  async mergeInto(name: string, into: Float32Array): Promise<boolean> {
    const trained = this.#adapter.tensor(name);
    if (trained) {
      into.set(trained.data);
      return true;
    }
    const { architecture, config } = this.#base;
    const baseName = (tensor: string): string => storedName(architecture, config, tensor);
    const [, path, part] = /^(.*)\.(weight|bias)$/.exec(name) ?? [];
    const site = this.#adapter.sites.get(path ?? "");
    if (!site && baseName(name) !== name) {
      // The adapter sits on the embedding alone.
      into.set((await this.#base.values(baseName(name))).data);
      return true;
    }
    if (!site) return false;
    const program = await this.#program(site, part as Part);
    if (!program) return false;
    const feeds: Record<string, HostTensor> = {};
    for (const { suffix } of [...site.parameters, ...site.frozen]) {
      const tensor = this.#adapter.input(`${path}.${suffix}`);
      if (tensor) feeds[given(suffix)] = tensor;
    }
    for (const own of ["weight", "bias"]) {
      if (given(own) in program.spec.inputs)
        feeds[given(own)] = await this.#base.values(baseName(`${path}.${own}`));
    }
    const shape = program.spec.outputs["merged"]?.shape as readonly number[];
    await program.run(feeds, { merged: hostTensor("float32", shape, into) });
    return true;
  }

  #program(site: AdaptedSite, part: Part): Promise<Program | null> {
    const { kind, inFeatures, outFeatures, bias } = site.spec;
    const key = JSON.stringify([part, kind, inFeatures, outFeatures, bias, site.options]);
    let program = this.#programs.get(key);
    if (!program) this.#programs.set(key, (program = compileMerge(this.#engine, this.#adapter, site, part)));
    return program;
  }

  /** Frees the programs. */
  async release(): Promise<void> {
    for (const program of this.#programs.values()) await (await program.catch(() => null))?.release();
    this.#programs.clear();
  }
}

/** The input that carries a tensor as it is before merging. */
const given = (suffix: string): string => `old.${suffix}`;

/**
 * Computes every tensor of the base that the adapter changes, by Hugging Face name, float32. The caller owns them; the
 * base stays as it is.
 * @throws UsageError "usage/adapter" when the method's result is not a change of weights.
 */
export async function mergeAdapter(
  engine: Engine,
  base: BaseModel,
  adapter: Adapter,
): Promise<Map<string, HostTensor<"float32">>> {
  const merger = new Merger(engine, base, adapter);
  const merged = new Map<string, HostTensor<"float32">>();
  try {
    for (const name of merger.names()) {
      const tensor = zeros("float32", merger.shapeOf(name));
      if (await merger.mergeInto(name, tensor.data)) merged.set(name, tensor);
    }
  } finally {
    await merger.release();
  }
  return merged;
}

/**
 * A model whose weights are merged whenever they are read: it needs no more memory than its base, whose files must stay
 * open as long as it is used. The caller releases what it compiles.
 * @throws as `mergeAdapter`
 */
export async function mergedModel(
  engine: Engine,
  base: BaseModel,
  adapter: Adapter,
): Promise<{ readonly model: BaseModel; release(): Promise<void> }> {
  const merger = new Merger(engine, base, adapter);
  const changed = new Set(merger.names());
  const { name, architecture, config, source, keepWidened } = base;
  const readInto = async (tensor: string, into: Float32Array): Promise<void> => {
    if (changed.has(tensor) && (await merger.mergeInto(tensor, into))) return;
    await source.readInto(storedName(architecture, config, tensor), into);
  };
  const model = await BaseModel.open({
    name,
    architecture,
    config: { ...config, tiedHead: config.tiedHead && !changed.has(architecture.names.head) },
    keepWidened,
    source: {
      storageOf: (tensor) => (changed.has(tensor) ? "f32" : source.storageOf(tensor)),
      stored: async (tensor) => {
        if (!changed.has(tensor)) return await source.stored(tensor);
        const data = zeros("float32", merger.shapeOf(tensor));
        await readInto(tensor, data.data);
        return { storage: "f32", shape: data.shape, planes: { data } };
      },
      readInto,
    },
  });
  return { model, release: () => merger.release() };
}

async function compileMerge(
  engine: Engine,
  { method }: Adapter,
  site: AdaptedSite,
  part: Part,
): Promise<Program | null> {
  if (method.merge === "not-mergeable") return null;
  const graph = new Graph();
  const { inFeatures, outFeatures } = site.spec;
  const isTable = site.spec.kind === "embedding";
  const shape = isTable ? [inFeatures, outFeatures] : [outFeatures, inFeatures];
  const weights: SiteWeights = {
    weight: graph.input("weight", "float32", shape),
    bias: site.spec.bias ? graph.input("bias", "float32", [outFeatures]) : null,
  };
  const parameters = Object.fromEntries(
    [...site.parameters.map((p) => ({ ...p, dtype: "float32" as const })), ...site.frozen].map(
      ({ suffix, shape, dtype }) => [suffix, graph.input(suffix, dtype, shape)],
    ),
  );
  const merged = method.merge(weights, parameters, site.spec, site.options)[part];
  // What comes back as it went in has not changed; a program cannot have an input as its output.
  if (!merged || merged === weights[part]) return null;
  const all = { weight: weights.weight, ...(weights.bias ? { bias: weights.bias } : {}), ...parameters };
  const candidates = Object.fromEntries(
    Object.entries(all).map(([name, value]): [string, Value] => [given(name), value]),
  );
  const outputs = { merged };
  return await engine.compile({
    name: `merge-${method.name}`,
    inputs: neededInputs(outputs, candidates),
    outputs,
  });
}
