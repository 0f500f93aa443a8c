/**
 * @file Merges an adapter into the base: the weights of an ordinary model that computes the same. Written once for all
 * methods; a method says only how one projection's weights change.
 */
import { UsageError } from "../errors.ts";
import { Graph, type Value } from "../graph/graph.ts";
import { neededInputs } from "../graph/program.ts";
import type { BaseModel } from "../models/base-model.ts";
import type { Engine, Program } from "../runtime/engine.ts";
import { type HostTensor, hostTensor, zeros } from "../runtime/host-tensor.ts";
import type { AdaptedSite, Adapter } from "./attach.ts";
import type { SiteWeights } from "./method.ts";

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
  const merged = new Map<string, HostTensor<"float32">>();
  for (const { name, shape } of adapter.parameters) {
    if (!base.specs.has(name)) continue;
    const { data } = adapter.tensor(name) as HostTensor<"float32">;
    merged.set(name, hostTensor("float32", shape, data.slice()));
  }
  // Sites of equal sizes and options share a program.
  const programs = new Map<string, Promise<Program>>();
  try {
    for (const site of adapter.sites.values()) {
      const { inFeatures, outFeatures, bias } = site.spec;
      const key = JSON.stringify([inFeatures, outFeatures, bias, site.options]);
      let program = programs.get(key);
      if (!program) programs.set(key, (program = compileMerge(engine, adapter, site)));
      await mergeSite(await program, base, adapter, site, merged);
    }
  } finally {
    for (const program of programs.values()) await (await program.catch(() => null))?.release();
  }
  return merged;
}

function compileMerge(engine: Engine, { method }: Adapter, site: AdaptedSite): Promise<Program> {
  if (method.merge === "not-mergeable") {
    return Promise.reject(
      new UsageError(
        "usage/adapter",
        `Cannot merge an adapter of method "${method.name}": its result is not a change of weights`,
        { hint: "Use the adapter beside its base model" },
      ),
    );
  }
  const graph = new Graph();
  const { inFeatures, outFeatures } = site.spec;
  const weights: SiteWeights = {
    weight: graph.input("weight", "float32", [outFeatures, inFeatures]),
    bias: site.spec.bias ? graph.input("bias", "float32", [outFeatures]) : null,
  };
  const parameters = Object.fromEntries(
    [...site.parameters.map((p) => ({ ...p, dtype: "float32" as const })), ...site.frozen].map(
      ({ suffix, shape, dtype }) => [suffix, graph.input(suffix, dtype, shape)],
    ),
  );
  const result = method.merge(weights, parameters, site.spec, site.options);
  // What comes back as it went in has not changed; a program cannot have an input as its output.
  const outputs: Record<string, Value> = {};
  if (result.weight !== weights.weight) outputs["weight"] = result.weight;
  if (result.bias && result.bias !== weights.bias) outputs["bias"] = result.bias;
  const given = { weight: weights.weight, ...(weights.bias ? { bias: weights.bias } : {}), ...parameters };
  const candidates = Object.fromEntries(Object.entries(given).map(([name, value]) => [`old.${name}`, value]));
  return engine.compile({
    name: `merge-${method.name}`,
    inputs: neededInputs(outputs, candidates),
    outputs,
  });
}

async function mergeSite(
  program: Program,
  base: BaseModel,
  adapter: Adapter,
  { path, parameters, frozen }: AdaptedSite,
  merged: Map<string, HostTensor<"float32">>,
): Promise<void> {
  const feeds: Record<string, HostTensor> = {};
  for (const { suffix } of [...parameters, ...frozen]) {
    const tensor = adapter.input(`${path}.${suffix}`);
    if (tensor) feeds[`old.${suffix}`] = tensor;
  }
  for (const name of ["weight", "bias"]) {
    if (!(`old.${name}` in program.spec.inputs)) continue;
    feeds[`old.${name}`] = await base.values(`${path}.${name}`);
  }
  const into = Object.fromEntries(
    Object.entries(program.spec.outputs).map(([name, { shape }]) => [
      name,
      zeros("float32", shape as readonly number[]),
    ]),
  );
  await program.run(feeds, into);
  for (const [name, tensor] of Object.entries(into)) merged.set(`${path}.${name}`, tensor);
}
