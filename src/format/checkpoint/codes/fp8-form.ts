/**
 * @file The form of FP8 that DeepSeek-V3 introduced, transformers' "finegrained" FP8 (Qwen's, Mistral's), and that of AutoFP8, an
 * older tool; only read. A linear layer M has:
 *
 *   M.weight F8_E4M3 [out, in]
 *   M.weight_scale_inv [⌈out / h⌉, ⌈in / w⌉]   a scale for each block of h × w (`weight_block_size`); one number without blocks
 *   M.weight_scale                             AutoFP8's name for the one number
 *
 * Modules that stay floats are listed in `modules_to_not_convert`, by AutoFP8 in `ignored_layers`.
 */
import type { JsonObject } from "../../files/json-file.ts";
import { refusedVariant, showSetting } from "./codes-errors.ts";
import type { CodesForm } from "./codes-form.ts";
import { findFp8, heldFp8, OF_ACTIVATIONS } from "./fp8-tensors.ts";
import { isInCodes } from "./named-modules.ts";
import { type BlockSize, isBlockSize, sharedColumns } from "./scale-grid.ts";

const SCALE = /^(.*)\.weight_scale(_inv)?$/;

export const fp8Form: CodesForm = {
  name: "fp8",
  claims: ({ quant_method: method }) => method === "fp8",

  requireKnown,

  async find({ weight_block_size: block = null }, weights) {
    return [...weights.tensors.keys()].flatMap((key) => {
      const module = SCALE.exec(key)?.[1];
      return module === undefined ? [] : [findFp8(weights, module, key, block as BlockSize | null)];
    });
  },

  outline(_path, { weight_block_size: block = null, modules_to_not_convert: kept, ignored_layers: ignored }) {
    const isIn = isInCodes(kept ?? ignored);
    return (matrix) =>
      isIn(matrix)
        ? heldFp8(matrix.shape, sharedColumns(matrix.numColumns, isBlockSize(block) ? block : null))
        : null;
  },

  passesOver: OF_ACTIVATIONS,
  writing: "read-only",
};

function requireKnown(path: string, settings: JsonObject): void {
  const { weight_block_size: block = null, expert_dtype: experts = "fp8", fmt = "e4m3" } = settings;
  if ((block === null || isBlockSize(block)) && experts === "fp8" && fmt === "e4m3") return;
  throw refusedVariant(
    path,
    `quantization with weight_block_size ${JSON.stringify(block)}, fmt ${showSetting(fmt)}, expert_dtype ${showSetting(experts)}`,
    "weight_block_size [rows, columns] or null, fmt e4m3, expert_dtype fp8",
  );
}
