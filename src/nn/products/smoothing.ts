/** @file Smoothing factors on the inputs of projections: how they are read, and inputs multiplied by them. */
import { assertInternal } from "../../errors.ts";
import type { Value } from "../../graph/graph.ts";
import { mul } from "../../graph/ops/pointwise/elementwise.ts";
import type { Preparation } from "../compute.ts";

/** Appended to a tensor's name to name the smoothing factors of its input. */
export const SMOOTHING = ".smoothing";

/** Reads the smoothing factors of a matrix's input. */
export function readSmoothing(inFeatures: number): Preparation {
  return {
    operands: [{ suffix: SMOOTHING, dtype: "float32", shape: [inFeatures] }],
    binding: "fed",
    prepare: async (reader) => {
      const factors = reader.smoothing();
      assertInternal(factors, "factors that are read but were not measured");
      return { [SMOOTHING]: factors };
    },
  };
}

/** Multiplies values by factors, each pair once. */
export class SmoothedValues {
  readonly #made = new Map<Value, Map<Value, Value>>();

  /** Returns a value times factors. */
  of(value: Value, factors: Value): Value {
    const made = this.#made.get(value) ?? new Map<Value, Value>();
    this.#made.set(value, made);
    const smoothed = made.get(factors) ?? mul(value, factors);
    made.set(factors, smoothed);
    return smoothed;
  }
}
