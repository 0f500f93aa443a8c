/**
 * @file Applies an optimizer to the flat vector of all trainable parameters, in place, piece by piece.
 *
 * Owns the optimizer's state vectors, which a checkpoint saves and restores.
 */
import { Graph, type Value } from "../graph/graph.ts";
import { mul } from "../graph/ops/mul.ts";
import type { ProgramSpec } from "../graph/program.ts";
import type { Engine, Program, Tensors } from "../runtime/engine.ts";
import { type HostTensor, zeros } from "../runtime/host-tensor.ts";
import { FlatChunks, checkLength } from "./flat-chunks.ts";
import type { Optimizer } from "./optimizer.ts";

/** One optimizer step. */
export interface UpdateStep {
  /** All trainable parameters; changed in place. */
  readonly parameters: Float32Array;
  /** Their gradients, in the same order; only read. */
  readonly gradients: Float32Array;
  /** Factor on every gradient: that of clipping. */
  readonly gradientScale: number;
  readonly learningRate: number;
  readonly weightDecay: number;
  /** Counted from 1. */
  readonly step: number;
}

/** An optimizer with its state. */
export interface Updater {
  /** State vectors by slot, one entry per parameter: to be saved, or set from a saved one. */
  readonly state: Readonly<Record<string, Float32Array>>;
  /** Updates all parameters and the state. @throws RangeError when a vector is of another length. */
  step(step: UpdateStep): Promise<void>;
  /** Frees the compiled program. */
  release(): Promise<void>;
}

/** Compiles an optimizer for `numParameters` parameters, its state at zero. */
export async function createUpdater<O>(
  engine: Engine,
  optimizer: Optimizer<O>,
  options: O,
  numParameters: number,
): Promise<Updater> {
  const { slots } = optimizer;
  const program = await engine.compile(updateProgram(optimizer, options));
  const scalars: Record<string, HostTensor<"float32">> = {};
  const set = (name: string, value: number): void => {
    (scalars[name] ??= zeros("float32", [])).data[0] = value;
  };
  const chunks = new FlatChunks();
  const state = Object.fromEntries(slots.map((slot) => [slot, new Float32Array(numParameters)]));

  return {
    state,
    release: () => program.release(),
    step: async ({ parameters, gradients, gradientScale, learningRate, weightDecay, step }) => {
      checkLength("parameters", parameters, numParameters);
      checkLength("gradients", gradients, numParameters);
      set("gradientScale", gradientScale);
      set("learningRate", learningRate);
      set("weightDecay", weightDecay);
      for (const [name, value] of Object.entries(optimizer.scalars(step, options)))
        set(`scalar.${name}`, value);
      const vectors = { parameter: parameters, ...prefixed("slot", state) };
      await runPieces(program, chunks, gradients, vectors, scalars);
    },
  };
}

/** Runs the update on every piece and copies the results back: no output may overwrite what the program still reads. */
async function runPieces(
  program: Program,
  chunks: FlatChunks,
  gradients: Float32Array,
  vectors: Readonly<Record<string, Float32Array>>,
  scalars: Tensors,
): Promise<void> {
  for (const [i, gradient] of chunks.of(gradients).entries()) {
    const feeds: Record<string, HostTensor> = { ...scalars, gradient };
    const into: Record<string, HostTensor<"float32">> = {};
    for (const [name, vector] of Object.entries(vectors)) {
      feeds[name] = chunks.of(vector)[i] as HostTensor;
      into[`new.${name}`] = chunks.scratch(name, gradient.data.length);
    }
    await program.run(feeds, into);
    for (const name of Object.keys(vectors)) {
      (feeds[name] as HostTensor<"float32">).data.set((into[`new.${name}`] as HostTensor<"float32">).data);
    }
  }
}

function updateProgram<O>(optimizer: Optimizer<O>, options: O): ProgramSpec {
  const graph = new Graph();
  const vector = (name: string): Value => graph.input(name, "float32", ["P"]);
  const scalar = (name: string): Value => graph.input(name, "float32", []);
  const parameter = vector("parameter");
  const gradient = vector("gradient");
  const gradientScale = scalar("gradientScale");
  const learningRate = scalar("learningRate");
  const weightDecay = scalar("weightDecay");
  const slots = Object.fromEntries(optimizer.slots.map((slot) => [slot, vector(`slot.${slot}`)]));
  const scalars = Object.fromEntries(
    Object.keys(optimizer.scalars(1, options)).map((name) => [name, scalar(`scalar.${name}`)]),
  );
  const updated = optimizer.update(
    { parameter, gradient: mul(gradient, gradientScale), slots, learningRate, weightDecay, scalars },
    options,
  );
  return {
    name: `update-${optimizer.name}`,
    inputs: {
      parameter,
      gradient,
      gradientScale,
      learningRate,
      weightDecay,
      ...prefixed("slot", slots),
      ...prefixed("scalar", scalars),
    },
    outputs: { "new.parameter": updated.parameter, ...prefixed("new.slot", updated.slots) },
  };
}

function prefixed<T>(prefix: string, record: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [`${prefix}.${name}`, value]));
}
