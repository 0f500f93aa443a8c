/**
 * @file Matrices of 8-bit floats with scales, whose names differ between forms: weight F8_E4M3 [out, in], and float scales for the
 * whole, each row or each block. weight[o, i] = scale · float[o, i], even where the scale is called an inverse.
 */
import { FLOAT_BYTES } from "../../../graph/dtype.ts";
import { showShape } from "../../../graph/shape.ts";
import { widen } from "../../../quant/codes/half.ts";
import { hostTensor } from "../../../runtime/host-tensor.ts";
import type { Safetensors } from "../../files/safetensors/safetensors.ts";
import { damagedCodes, refusedVariant, showPart } from "./codes-errors.ts";
import type { CodesTensor, HeldForm } from "./codes-form.ts";
import { type BlockSize, scaleGrid } from "./scale-grid.ts";

/** Element types that scales may have. */
export const SCALE_DTYPES: readonly (string | undefined)[] = ["F32", "F16", "BF16"];

/** Names of scales and zeros of activations, which graft does not quantize. */
export const OF_ACTIVATIONS =
  /\.(activation_scale|[qkv]_scale|(input|output)_(scale|zero_point|global_scale))$/;

/** Rows have multiples of this many elements: no kernel for these forms takes others. */
const UNIT = 8;

/** How a matrix [rows, columns] is held, by the columns that share a scale. */
export function heldFp8([numRows = 0, numColumns = 0]: readonly number[], groupSize: number): HeldForm {
  const sizeBytes = numRows * (numColumns + (FLOAT_BYTES * numColumns) / groupSize);
  return { storage: "f8_e4m3", groupSize, sizeBytes };
}

/**
 * Finds the matrix that a scale belongs to.
 * @throws UsageError "usage/quantization" for another type of scales; FormatError "format/tensor" for parts that do not fit
 */
export function findFp8(
  weights: Safetensors,
  module: string,
  scaleKey: string,
  block: BlockSize | null,
): CodesTensor {
  const name = `${module}.weight`;
  const [codes, scale] = [weights.tensors.get(name), weights.tensors.get(scaleKey)];
  if (codes?.fileDtype === "F8_E4M3" && scale && !SCALE_DTYPES.includes(scale.fileDtype)) {
    throw refusedVariant(weights.path, `"${scaleKey}" in ${scale.fileDtype}`, "scales in F32, F16 or BF16");
  }
  const shape = codes?.shape ?? [];
  const grid = shape.length === 2 && scale ? scaleGrid(scale.shape, shape, block) : null;
  const [numRows = 0, numColumns = 0] = shape;
  if (codes?.fileDtype !== "F8_E4M3" || grid === null || numColumns % UNIT !== 0) {
    const ofBlock = block === null ? "" : ` or block of ${showShape(block)}`;
    throw damagedCodes(
      weights.path,
      name,
      `${showPart(codes)}, scale ${showPart(scale)}`,
      `F8_E4M3 [outputs, inputs], inputs a multiple of ${UNIT}, and a scale for all, each row${ofBlock}`,
    );
  }
  const { groupSize } = grid;
  const numGroups = numColumns / groupSize;
  return {
    info: { name, shape, ...heldFp8(shape, groupSize) },
    parts: [name, scaleKey],
    read: async () => {
      const scales = widen(await weights.read(scaleKey)).data;
      const laid = Float32Array.from(grid.indices(), (at) => scales[at]!);
      return {
        storage: "f8_e4m3",
        shape,
        planes: {
          codes: await weights.read(name),
          scale: hostTensor("float32", [numRows, numGroups], laid),
        },
      };
    },
  };
}
