/**
 * @file Products of activations and gradients in 8 bits with weights in 8 bits, in both directions: for many rows.
 *
 * Codes are kept in both layouts, 2 bytes a weight.
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
