/** @file The update rule of an optimizer as a program: parameter, gradient and state in, parameter and state out. */
import { Graph, type Value } from "../graph/graph.ts";
import { mul } from "../graph/ops/pointwise/elementwise.ts";
import type { ProgramSpec } from "../graph/program.ts";
import type { Optimizer } from "./optimizer.ts";

/** Builds the program that updates vectors of P elements by an optimizer's rule. */
export function updateProgram<O>(optimizer: Optimizer<O>, options: O): ProgramSpec {
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

/** Prefixes the names of a record with a prefix and a dot. */
export function prefixed<T>(prefix: string, record: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [`${prefix}.${name}`, value]));
}
