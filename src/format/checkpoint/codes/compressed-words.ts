/**
 * @file Matrices of whole numbers as compressed-tensors keeps them; without zeros in the file, they are 0.
 *
 *   weight_packed int32 [out, ⌈in·b/32⌉]         each row a bit stream of code = number + 2^(b−1), lowest bits first
 *   weight_shape int64 [2]                       [out, in]
 *   weight_zero_point int32 [⌈out·b/32⌉, groups] each column the bit stream of the zeros; or int8 in the shape of the scales
 *   weight int8 [out, in], weight_zero_point int8
 *
 *   weight[o, i] = scale · (number[o, i] − zero)
 */
import { bytesOf, FLOAT_BYTES } from "../../../graph/dtype.ts";
import { type CodeBits, packedBytes } from "../../../graph/ops/products/unpack-codes.ts";
import { sameShape, showShape } from "../../../graph/shape.ts";
import { flipSigns } from "../../../quant/codes/flip-signs.ts";
import { widen } from "../../../quant/codes/half.ts";
import type { StorageName } from "../../../quant/storages.ts";
import { hostTensor, type HostTensor } from "../../../runtime/host-tensor.ts";
import type { Safetensors } from "../../files/safetensors/safetensors.ts";
import { damagedCodes, showPart } from "./codes-errors.ts";
import type { CodesTensor } from "./codes-form.ts";
import { SCALE_DTYPES } from "./fp8-tensors.ts";
import { requireOrder, transposedWords, unpackZeros, WORD_BITS } from "./gptq-tensors.ts";
import { heldCodes } from "./held-codes.ts";
import { scaleGrid } from "./scale-grid.ts";

/** This many codes fill whole bytes, whatever their bits. */
const UNIT = 8;

/** A matrix of whole numbers whose scales and zeros are not yet checked. */
interface Numbers {
  readonly module: string;
  readonly bits: CodeBits;
  readonly shape: readonly number[];
  /** Names of the tensor of its numbers, and of others that belong to it. */
  readonly parts: readonly string[];
  readonly readCodes: () => Promise<Uint8Array<ArrayBuffer>>;
}

/**
 * Finds a matrix that is stored as words, whose codes have one of these numbers of bits.
 * @throws UsageError "usage/quantization" for columns in another order; FormatError "format/tensor" for parts that do not fit
 */
export async function findWords(
  weights: Safetensors,
  module: string,
  bitsOfGroups: readonly CodeBits[],
): Promise<CodesTensor> {
  const [packed, shapeKey] = [`${module}.weight_packed`, `${module}.weight_shape`];
  const [words, shapePart] = [packed, shapeKey].map((key) => weights.tensors.get(key));
  const isShape = shapePart?.dtype === "int64" && sameShape(shapePart.shape, [2]);
  const shape = isShape ? Array.from((await weights.read(shapeKey)).data, Number) : [];
  const [numRows = 0, numColumns = 0] = shape;
  const bits = bitsOfGroups.find((each) => {
    const rowWords = Math.ceil((numColumns * each) / WORD_BITS);
    return sameShape(words?.shape ?? [], [numRows, rowWords]);
  });
  if (words?.dtype !== "int32" || bits === undefined || numColumns % UNIT !== 0) {
    throw damagedCodes(
      weights.path,
      module,
      `weight_packed ${showPart(words)}, weight_shape ${isShape ? showShape(shape) : showPart(shapePart)}`,
      `I32 [outputs, inputs · ${bitsOfGroups.join(" or ")} / 32], inputs a multiple of ${UNIT}`,
    );
  }
  const found = findNumbers(weights, {
    module,
    bits,
    shape,
    parts: [packed, shapeKey],
    readCodes: async () => {
      const bytes = bytesOf((await weights.read(packed)).data) as Uint8Array<ArrayBuffer>;
      return withoutPadding(bytes, numRows, packedBytes(bits, numColumns));
    },
  });
  const order = `${module}.weight_g_idx`;
  if (!weights.tensors.has(order)) return found;
  requireOrder(weights.path, order, await weights.read(order), found.info.groupSize!);
  return { ...found, parts: [...found.parts, order] };
}

/** Cuts the rows of a matrix to `rowBytes`. */
function withoutPadding(
  bytes: Uint8Array<ArrayBuffer>,
  numRows: number,
  rowBytes: number,
): Uint8Array<ArrayBuffer> {
  const paddedBytes = bytes.length / numRows;
  if (paddedBytes === rowBytes) return bytes;
  const codes = new Uint8Array(numRows * rowBytes);
  for (let row = 0; row < numRows; row++) {
    const from = row * paddedBytes;
    codes.set(bytes.subarray(from, from + rowBytes), row * rowBytes);
  }
  return codes;
}

/** Finds a matrix of signed bytes. @throws FormatError "format/tensor" for parts that do not fit */
export function findSignedBytes(weights: Safetensors, module: string): CodesTensor {
  const name = `${module}.weight`;
  const { shape } = weights.tensors.get(name)!;
  return findNumbers(weights, {
    module,
    bits: 8,
    shape,
    parts: [name],
    readCodes: async () => {
      const codes = bytesOf((await weights.read(name)).data) as Uint8Array<ArrayBuffer>;
      flipSigns(codes, codes);
      return codes;
    },
  });
}

function findNumbers(weights: Safetensors, { module, bits, shape, parts, readCodes }: Numbers): CodesTensor {
  const [numRows = 0, numColumns = 0] = shape;
  const [scaleKey, zeroKey] = [`${module}.weight_scale`, `${module}.weight_zero_point`];
  const [scale, zero] = [scaleKey, zeroKey].map((key) => weights.tensors.get(key));
  const isFloat = SCALE_DTYPES.includes(scale?.fileDtype);
  const grid = isFloat && shape.length === 2 ? scaleGrid(scale!.shape, shape, null) : null;
  const packedZeros = [Math.ceil((numRows * bits) / WORD_BITS), scale?.shape[1] ?? 0];
  const fitsZero =
    zero === undefined ||
    (zero.dtype === "int8" && sameShape(zero.shape, scale?.shape ?? [])) ||
    (zero.dtype === "int32" && sameShape(zero.shape, packedZeros));
  if (grid === null || !fitsZero || numColumns % UNIT !== 0) {
    throw damagedCodes(
      weights.path,
      module,
      `matrix ${showShape(shape)}, weight_scale ${showPart(scale)}, weight_zero_point ${showPart(zero)}`,
      `inputs a multiple of ${UNIT}, floats for all, each row or group of a row, and zeros as many or none`,
    );
  }
  const { groupSize } = grid;
  const groups = [numRows, numColumns / groupSize];
  const rowBytes = packedBytes(bits, numColumns);
  const storage: StorageName = `u${bits}`;
  const middle = 2 ** (bits - 1);
  const zerosOf = async (): Promise<ArrayLike<number>> => {
    const found = await weights.read(zeroKey);
    if (found.dtype === "int8") return Uint8Array.from(found.data as Int8Array, (number) => number + middle);
    const lines = transposedWords(bytesOf(found.data), packedZeros[0]!);
    const how = { path: weights.path, name: zeroKey, bits, numRows, offset: 0 };
    return unpackZeros(lines, how).data;
  };
  return {
    info: { name: `${module}.weight`, shape, ...heldCodes(bits, shape, groupSize, FLOAT_BYTES) },
    parts: [...parts, scaleKey, ...(zero ? [zeroKey] : [])],
    read: async () => {
      const [indices, scales] = [grid.indices(), widen(await weights.read(scaleKey)).data];
      const zeros = zero && (await zerosOf());
      const laid: HostTensor<"uint8"> = hostTensor(
        "uint8",
        groups,
        Uint8Array.from(indices, (at) => zeros?.[at] ?? middle),
      );
      return {
        storage,
        shape,
        planes: {
          codes: hostTensor("uint8", [numRows, rowBytes], await readCodes()),
          scale: hostTensor(
            "float32",
            groups,
            Float32Array.from(indices, (at) => scales[at]!),
          ),
          zero: laid,
        },
      };
    },
  };
}
