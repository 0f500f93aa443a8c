/** @file Factors on what projections read, before it is rounded: how they are read, and values times them. */
import { assertInternal } from "../../errors.ts";
import type { Value } from "../../graph/graph.ts";
import { mul } from "../../graph/ops/pointwise/elementwise.ts";
import type { Preparation } from "../compute.ts";

/** What follows a tensor's name in that of the factors on what it multiplies. */
export const SMOOTHING = ".smoothing";

/** Reads the factors on what a matrix multiplies. */
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

/** Values times factors, each made once. */
export class SmoothedValues {
  readonly #made = new Map<Value, Map<Value, Value>>();

  /** A value times factors. */
  of(value: Value, factors: Value): Value {
    const made = this.#made.get(value) ?? new Map<Value, Value>();
    this.#made.set(value, made);
    const smoothed = made.get(factors) ?? mul(value, factors);
    made.set(factors, smoothed);
    return smoothed;
  }
}
