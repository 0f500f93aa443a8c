/** @file Products of 8-bit activations with 4-bit weights in blocks of 32; for one row at a time. */
import { blockProduct } from "../products/block-product.ts";
import type { Compute } from "../compute.ts";

export const w4: Compute = {
  name: "w4",
  summary:
    "4-bit weights in blocks of 32 and 8-bit activations, for generating text: weights stored that way stay exact, others are rounded.",
  product: (matrix, storage) =>
    blockProduct(matrix, storage, { takes: ({ bits, size }) => bits === 4 && size === 32, rounded: "q4_0" }),
};
