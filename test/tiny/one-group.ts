/** @file A vector of numbers as the one parameter of one group, for tests of the optimizers' arithmetic. */
import type { UpdateStep, VectorGroup } from "../../src/optim/updater.ts";

/** The vector as all that is trained. */
export function groupOf(values: Float32Array): VectorGroup[] {
  return [{ values, parameters: [{ offset: 0, length: values.length }] }];
}

/** The vector as the gradients of all that is trained. */
export function gradientsOf(values: Float32Array): UpdateStep["gradients"] {
  return [{ values: inOnePart(values), present: [true] }];
}

/** Gradients in one piece of memory. */
export function inOnePart(values: Float32Array): UpdateStep["gradients"][number]["values"] {
  const { length } = values;
  return {
    length,
    parts: [values],
    stretches: (from, to) => [{ part: values, start: 0, from, to }],
  };
}
