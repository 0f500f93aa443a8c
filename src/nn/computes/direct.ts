/**
 * @file Products of 8-bit activations with the unchanged codes of a file, in blocks of 4 or 8 bits; in 8-bit integers when many
 * tokens run at once.
 */
import { apartProduct } from "../products/apart-product.ts";
import { blockProduct } from "../products/block-product.ts";
import type { Compute } from "../compute.ts";
import { int8ForwardProduct } from "../products/int8-product.ts";
import { smoothQuant } from "../products/smooth-quant.ts";

/**
 * For many rows. The input of a gated MLP's down projection has channels that are far larger than others, which cause three
 * quarters of the rounding error (docs/log.md#many-rows-and-prompts); these are kept apart.
 */
const productOfMany: Compute["product"] = (matrix) =>
  matrix.role === "down" ? apartProduct(matrix) : int8ForwardProduct(matrix);

export const direct: Compute = {
  name: "direct",
  summary:
    "The codes of a quantized file as they are, with 8-bit activations, for generating text: 4-bit codes in 4 bits, all others in 8, other weights rounded to 8; the head too. When several texts are generated at once, as int8, and from then on long prompts too.",
  product: (matrix, storage) => blockProduct(matrix, storage, { takes: () => true, rounded: "q8_0" }),
  many: { product: productOfMany, hasHead: true, smoothing: smoothQuant },
  hasHead: true,
};
