/**
 * @file The form of AWQ's tools (AutoAWQ's "gemm", older exports of llm-compressor, vLLM; arXiv:2306.00978); only read. A linear
 * layer M has:
 *
 *   M.qweight int32 [in, out/8]       eight codes of 4 bits a word: bits 4j hold output 8w + ORDER[j]
 *   M.qzeros  int32 [groups, out/8]   the zeros in the same order      M.scales float16 [groups, out]
 *
 *   weight[o, i] = scales[g, o] · (code[o, i] − zero[g, o])     g = ⌊i / groupSize⌋
 */
import { hostTensor, type HostTensor } from "../../../runtime/host-tensor.ts";
import { sameShape } from "../../../graph/shape.ts";
import type { JsonObject } from "../../files/json-file.ts";
import type { Safetensors } from "../../files/safetensors/safetensors.ts";
import { damagedCodes, refusedVariant, showPart, showSetting } from "./codes-errors.ts";
import type { CodesForm, CodesTensor } from "./codes-form.ts";
import { turned } from "../../../linalg/transposed.ts";
import { groupSizeOf, HALF_BYTES, heldCodes } from "./held-codes.ts";
import { partsIn } from "./named-modules.ts";

const ORDER = [0, 2, 4, 6, 1, 3, 5, 7];
const PER_WORD = ORDER.length;

export const awqForm: CodesForm = {
  name: "awq",
  claims: ({ quant_method: method }) => method === "awq",

  requireKnown,

  async find(_settings, weights) {
    const ending = ".qweight";
    const keys = [...weights.tensors.keys()].filter((key) => key.endsWith(ending));
    return keys.map((key) => findOne(key.slice(0, -ending.length), weights));
  },

  outline(path, { group_size: size, modules_to_not_convert: kept }) {
    const isKept = partsIn(kept);
    return (matrix) =>
      matrix.layer === null || isKept(matrix.module)
        ? null
        : heldCodes(4, matrix.shape, groupSizeOf(path, matrix, size), HALF_BYTES);
  },

  writing: "read-only",
};

/** @throws UsageError "usage/quantization" for a variant that is not read */
function requireKnown(
  path: string,
  { bits, version = "gemm", zero_point: hasZeros = true }: JsonObject,
): void {
  const isKnown = bits === 4 && showSetting(version).toLowerCase() === "gemm" && hasZeros === true;
  if (isKnown) return;
  const found = `quantization with bits ${showSetting(bits)}, version ${showSetting(version)}, zero_point ${showSetting(hasZeros)}`;
  throw refusedVariant(path, found, "bits 4, version gemm, zero_point true");
}

/** @throws FormatError "format/tensor" when parts are missing or of other sizes */
function findOne(module: string, weights: Safetensors): CodesTensor {
  const parts = [`${module}.qweight`, `${module}.qzeros`, `${module}.scales`] as const;
  const [qweight, qzeros, scales] = parts.map((part) => weights.tensors.get(part));
  const [numColumns = 0, numWords = 0] = qweight?.shape ?? [];
  const [numGroups = 0] = scales?.shape ?? [];
  const numRows = numWords * PER_WORD;
  const groupSize = numColumns / numGroups;
  const fits =
    qweight?.dtype === "int32" &&
    qzeros?.dtype === "int32" &&
    sameShape(qzeros.shape, [numGroups, numWords]) &&
    ["float16", "bfloat16", "float32"].includes(scales?.dtype ?? "") &&
    sameShape(scales!.shape, [numGroups, numRows]) &&
    Number.isInteger(groupSize) &&
    numColumns % PER_WORD === 0;
  if (!fits) {
    const found = [qweight, qzeros, scales].map(showPart);
    throw damagedCodes(
      weights.path,
      module,
      `qweight ${found[0]}, qzeros ${found[1]}, scales ${found[2]}`,
      "I32 [inputs, outputs / 8], I32 [groups, outputs / 8] and floats [groups, outputs]",
    );
  }
  const shape = [numRows, numColumns];
  return {
    info: {
      name: `${module}.weight`,
      shape,
      ...heldCodes(4, shape, groupSize, scales!.sizeBytes / (numGroups * numRows)),
    },
    parts,
    read: async () => ({
      storage: "u4",
      shape,
      planes: {
        codes: codesOf(await weights.read(parts[0]), numRows),
        scale: turned(await weights.read(parts[2])),
        zero: zerosOf(await weights.read(parts[1]), numRows),
      },
    }),
  };
}

/** Calls `use` with each code of words [lines, outputs / 8]. */
function eachCode(
  words: Int32Array,
  numRows: number,
  use: (line: number, row: number, code: number) => void,
): void {
  const numWords = numRows / PER_WORD;
  for (const [at, word] of words.entries()) {
    const [line, first] = [Math.floor(at / numWords), (at % numWords) * PER_WORD];
    for (let j = 0; j < PER_WORD; j++) use(line, first + ORDER[j]!, (word >>> (4 * j)) & 0x0f);
  }
}

/** Packs codes in the order of rows, two per byte. */
function codesOf({ shape, data }: HostTensor, numRows: number): HostTensor<"uint8"> {
  const rowBytes = shape[0]! / 2;
  const codes = new Uint8Array(numRows * rowBytes);
  eachCode(data as Int32Array, numRows, (column, row, code) => {
    codes[row * rowBytes + (column >> 1)]! |= code << (4 * (column & 1));
  });
  return hostTensor("uint8", [numRows, rowBytes], codes);
}

function zerosOf({ shape, data }: HostTensor, numRows: number): HostTensor<"uint8"> {
  const numGroups = shape[0]!;
  const zeros = new Uint8Array(numRows * numGroups);
  eachCode(data as Int32Array, numRows, (group, row, zero) => (zeros[row * numGroups + group] = zero));
  return hostTensor("uint8", [numRows, numGroups], zeros);
}
