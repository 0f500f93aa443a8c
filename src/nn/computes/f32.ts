/** @file Products in float32. Any tensor can be read this way: norms, biases, and trained matrices. */
import type { Value } from "../../graph/graph.ts";
import { linearCrossEntropy } from "../../graph/ops/losses/linear-cross-entropy.ts";
import { matmul } from "../../graph/ops/products/matmul.ts";
import { transpose } from "../../graph/ops/shapes/transpose.ts";
import type { DataOf } from "../../graph/dtype.ts";
import type { Compute, Matrix, OperandValues, Preparation, Product } from "../compute.ts";

/** Reads a tensor of any shape unchanged, in float32. */
export function asFloat32(shape: readonly number[]): Preparation {
  const whole = { suffix: "", dtype: "float32", shape } as const;
  return {
    operands: [whole],
    binding: "fed",
    prepare: async (reader, memory) => {
      const view = reader.view();
      if (view) return { "": view };
      const values = memory(whole);
      await reader.readInto(values.data as DataOf<"float32">);
      return { "": values };
    },
  };
}

/** The matrix in float32, in the layout of the file, which serves both directions. */
export function float32Product({ inFeatures, outFeatures, storedTransposed }: Matrix): Product {
  const weightOf = (operands: OperandValues): Value => operands[""]!;
  return {
    ...asFloat32(storedTransposed ? [inFeatures, outFeatures] : [outFeatures, inFeatures]),
    project: (x, operands) => matmul(x, weightOf(operands), { transB: !storedTransposed }),
    dense: (operands) => (storedTransposed ? transpose(weightOf(operands), [1, 0]) : weightOf(operands)),
    ...(!storedTransposed && {
      crossEntropy: (x, operands, labels) => linearCrossEntropy(x, weightOf(operands), labels),
    }),
  };
}

export const f32: Compute = {
  name: "f32",
  summary: "float32 throughout: 4 bytes a weight, and exact.",
  product: float32Product,
  isExact: true,
};
