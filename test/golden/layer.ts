/** @file A method on one linear layer, against golden numbers of that layer: its programs, and steps of training. */
import assert from "node:assert/strict";
import { gradients } from "../../src/graph/autodiff.ts";
import { Graph, type Value } from "../../src/graph/graph.ts";
import { mul, sub } from "../../src/graph/ops/pointwise/elementwise.ts";
import { reduceMean } from "../../src/graph/ops/reductions/reduce-mean.ts";
import type { ProgramSpec } from "../../src/graph/program.ts";
import { evaluateShape } from "../../src/graph/shape.ts";
import type { SiteGraph } from "../../src/models/graphs/site-graph.ts";
import type { SiteSpec } from "../../src/models/graphs/sites.ts";
import { linear } from "../../src/nn/linear.ts";
import type { AdapterMethod } from "../../src/peft/method.ts";
import type { Engine } from "../../src/runtime/engine.ts";
import { type HostTensor, zeros } from "../../src/runtime/host-tensor.ts";
import { openAdamw } from "../passes/adamw.ts";
import { gradientsOf, groupOf } from "../tiny/one-group.ts";

/** What a method has put on a projection, in a graph of its own. */
function onLayer(method: AdapterMethod, spec: SiteSpec, options: unknown) {
  const { inFeatures, outFeatures } = spec;
  const graph = new Graph();
  const weight = graph.input("weight", "float32", [outFeatures, inFeatures]);
  const bias = graph.input("bias", "float32", [outFeatures]);
  const inputsOf = (
    tensors: readonly { suffix: string; dtype?: HostTensor["dtype"]; shape: Value["shape"] }[],
  ) =>
    Object.fromEntries(
      tensors.map(({ suffix, dtype = "float32", shape }) => [suffix, graph.input(suffix, dtype, shape)]),
    );
  const trained = inputsOf(method.trained.specs(spec, options));
  return { graph, weight, bias, trained, frozen: inputsOf(method.frozen.specs(spec, options)) };
}

/** The program of the output y, the mean square error as loss, and its gradients, "d.x" and "d." with a trained tensor's name. */
export function layerStep(
  method: AdapterMethod,
  spec: SiteSpec,
  options: unknown,
  numTokens: number,
): ProgramSpec {
  const { graph, weight, bias, trained, frozen } = onLayer(method, spec, options);
  const x = graph.input("x", "float32", [numTokens, spec.inFeatures]);
  const target = graph.input("target", "float32", [numTokens, spec.outFeatures]);
  const site = {
    spec,
    weight,
    bias,
    project: (value: Value) => linear(value, weight, bias),
    save: (_name: string, value: Value) => value,
    dropout: (value: Value) => value,
  } as unknown as SiteGraph;
  const y = method.adapt(site, x, { ...trained, ...frozen }, options);
  const error = sub(y, target);
  const loss = reduceMean(mul(error, error), [0, 1]);
  const one = graph.constant("float32", [1, 1], Float32Array.of(1));
  const wrt: Record<string, Value> = { x, ...trained };
  const found = gradients([{ value: loss, gradient: one }], Object.values(wrt));
  const derivatives = Object.keys(wrt).map((name, i) => [`d.${name}`, found[i]!]);
  return {
    name: "step",
    inputs: { target, weight, bias, ...wrt, ...frozen },
    outputs: { y, loss, ...Object.fromEntries(derivatives) },
  };
}

/** The program of the merged weight, and of the merged bias where it is another. */
export function layerMerge(method: AdapterMethod, spec: SiteSpec, options: unknown): ProgramSpec {
  const { weight, bias, trained, frozen } = onLayer(method, spec, options);
  const tensors = { ...trained, ...frozen };
  assert.ok(method.merge !== "not-mergeable");
  const merged = method.merge.graph({ weight, bias }, tensors, spec, options);
  const ofBias = merged.bias && merged.bias !== bias ? { "merged.bias": merged.bias } : {};
  return {
    name: "merge",
    inputs: { weight, bias, ...tensors },
    outputs: { merged: merged.weight, ...ofBias },
  };
}

type Run = (feeds: Readonly<Record<string, HostTensor>>) => Promise<(name: string) => Float32Array>;

/** Compiles a program of known sizes; `run` writes into the same memory each time. */
export async function openProgram(
  engine: Engine,
  spec: ProgramSpec,
): Promise<{ run: Run; release(): Promise<void> }> {
  const program = await engine.compile(spec);
  const into = Object.fromEntries(
    Object.entries(spec.outputs).map(([name, { shape }]) => [
      name,
      zeros("float32", evaluateShape(shape, {})),
    ]),
  );
  return {
    async run(feeds) {
      await program.run(feeds, into);
      return (name) => into[name]!.data;
    },
    release: () => program.release(),
  };
}

/** Runs a program once. */
export async function runOnce(engine: Engine, spec: ProgramSpec, feeds: Parameters<Run>[0]): ReturnType<Run> {
  const program = await openProgram(engine, spec);
  const found = await program.run(feeds);
  await program.release();
  return found;
}

/** Steps of AdamW without decay, as the golden numbers were made, on a vector. */
export async function openSteps(engine: Engine, values: Float32Array, learningRate: number) {
  const adamw = await openAdamw(engine, { groups: groupOf(values) });
  return {
    step: (gradient: Float32Array) => adamw.step(gradientsOf(gradient), { learningRate }),
    release: () => adamw.release(),
  };
}
