/**
 * @file Products of 8-bit activations and gradients with 8-bit weights, forward and backward; for many rows.
 *
 * Codes are kept in both layouts, so 2 bytes per weight.
 */
import type { Compute } from "../compute.ts";
import { int8Product } from "../products/int8-product.ts";
import { smoothQuant } from "../products/smooth-quant.ts";

export const int8: Compute = {
  name: "int8",
  summary:
    "8-bit weights with a scale for each output, and 8-bit activations and gradients with a scale for each row; a vocabulary head too: for training and for reading many tokens at once.",
  product: int8Product,
  hasHead: true,
  smoothing: smoothQuant,
};
