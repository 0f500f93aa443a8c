/** @file Reads a folder in GPTQ's form: the parts of a layer become codes, scales and zeros. */
import type { CodeBits } from "../../../graph/ops/products/unpack-codes.ts";
import { bytesOf } from "../../../graph/dtype.ts";
import { sameShape, showShape, sizeAt } from "../../../graph/shape.ts";
import { transposed, turned } from "../../../linalg/transposed.ts";
import { unpackRow } from "../../../quant/codes/pack-codes.ts";
import type { StorageName } from "../../../quant/storages.ts";
import type { StoredTensor } from "../../../quant/stored-tensor.ts";
import { type HostTensor, hostTensor } from "../../../runtime/host-tensor.ts";
import type { JsonObject } from "../../files/json-file.ts";
import type { Safetensors } from "../../files/safetensors/safetensors.ts";
import { damagedCodes, refusedVariant, showPart } from "./codes-errors.ts";
import type { CodesTensor } from "./codes-form.ts";
import { bitsOf } from "./gptq-settings.ts";
import { groupSizeOf, heldCodes } from "./held-codes.ts";

/** Bits of the words in which codes are packed. */
export const WORD_BITS = 32;

/** What is subtracted from zeros when they are written: version 1 of the form stores them minus one. */
export function zeroOffset({ checkpoint_format: format }: JsonObject): number {
  return format === "gptq_v2" ? 0 : 1;
}

/** Finds the matrices of a folder. @throws as `CodesForm.find` */
export async function findGptqTensors(settings: JsonObject, weights: Safetensors): Promise<CodesTensor[]> {
  const bits = bitsOf(weights.path, settings);
  const found: CodesTensor[] = [];
  for (const key of weights.tensors.keys()) {
    if (key.endsWith(".qweight"))
      found.push(await findOne(key.slice(0, -".qweight".length), bits, settings, weights));
  }
  return found;
}

async function findOne(
  module: string,
  bits: CodeBits,
  settings: JsonObject,
  weights: Safetensors,
): Promise<CodesTensor> {
  const [qweight, qzeros, scales] = [`${module}.qweight`, `${module}.qzeros`, `${module}.scales`];
  const parts = [qweight, qzeros, scales];
  // A shorter last group of a row cannot be seen from the sizes of the parts.
  const numInputs = ((weights.tensors.get(qweight)?.shape[0] ?? 0) * WORD_BITS) / bits;
  groupSizeOf(weights.path, { module, numColumns: numInputs }, settings["group_size"]);
  const { words, numRows, numColumns, numGroups, scaleBytes } = sizesOf(module, parts, bits, weights);
  const groupSize = numColumns / numGroups;
  const order = `${module}.g_idx`;
  if (weights.tensors.has(order)) {
    parts.push(order);
    requireOrder(weights.path, order, await weights.read(order), groupSize);
  }
  const name = `${module}.weight`;
  const shape = [numRows, numColumns];
  const storage: StorageName = `u${bits}`;
  const read = async (): Promise<StoredTensor> => {
    const codes = transposedWords(bytesOf((await weights.read(qweight)).data), words);
    return {
      storage,
      shape,
      planes: {
        codes: hostTensor("uint8", [numRows, (numColumns * bits) / 8], bytesOf(codes.data)),
        scale: turned(await weights.read(scales)),
        zero: unpackZeros(await weights.read(qzeros), {
          path: weights.path,
          name: qzeros,
          bits,
          numRows,
          offset: zeroOffset(settings),
        }),
      },
    };
  };
  return { info: { name, shape, ...heldCodes(bits, shape, groupSize, scaleBytes) }, parts, read };
}

/** Finds the sizes of a matrix from its parts: codes, zeros and scales. @throws FormatError "format/tensor" when these do not fit */
function sizesOf(
  module: string,
  parts: readonly string[],
  bits: CodeBits,
  weights: Safetensors,
): Readonly<Record<"words" | "numRows" | "numColumns" | "numGroups" | "scaleBytes", number>> {
  const [qweight, qzeros, scales] = parts.map((part) => weights.tensors.get(part));
  const [words = 0, numRows = 0] = qweight?.shape ?? [];
  const numColumns = (words * WORD_BITS) / bits;
  const numGroups = scales?.shape[0] ?? 0;
  const zeroShape = [numGroups, (numRows * bits) / WORD_BITS];
  const scaleShape = [numGroups, numRows];
  const fits =
    qweight?.dtype === "int32" &&
    qzeros?.dtype === "int32" &&
    ["float16", "bfloat16", "float32"].includes(scales?.dtype ?? "") &&
    Number.isInteger(numColumns / numGroups) &&
    sameShape(qzeros.shape, zeroShape) &&
    sameShape(scales!.shape, scaleShape);
  if (!fits) {
    const shapes = [qweight, qzeros, scales].map(showPart);
    throw damagedCodes(
      weights.path,
      module,
      `qweight ${shapes[0]}, qzeros ${shapes[1]}, scales ${shapes[2]}`,
      `parts of ${bits} bits: I32 [inputs · ${bits} / 32, outputs], I32 ${showShape(zeroShape)} and floats ${showShape(scaleShape)}`,
    );
  }
  return { words, numRows, numColumns, numGroups, scaleBytes: scales!.sizeBytes / (numGroups * numRows) };
}

/** @throws UsageError "usage/quantization" when groups are not of consecutive inputs */
export function requireOrder(path: string, name: string, { data }: HostTensor, groupSize: number): void {
  const column = [...(data as Int32Array)].findIndex((group, i) => group !== Math.floor(i / groupSize));
  if (column < 0) return;
  const group = Number(data[column]);
  throw refusedVariant(
    path,
    `input ${column} of "${name}" is in group ${group} (desc_act)`,
    `group ${Math.floor(column / groupSize)}: groups of neighbours`,
  );
}

/** Transposes a matrix of words, given as `numRows` rows of bytes. */
export function transposedWords(bytes: Uint8Array, numRows: number): HostTensor<"int32"> {
  // A view needs an offset that is a multiple of four.
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  const words = new Int32Array(aligned.buffer as ArrayBuffer, aligned.byteOffset, aligned.byteLength / 4);
  const numColumns = words.length / numRows;
  return hostTensor("int32", [numColumns, numRows], transposed(words, numRows, numColumns));
}

/** How zeros are packed, and the path and name of their tensor for errors. */
interface PackedZeros {
  readonly path: string;
  readonly name: string;
  readonly bits: CodeBits;
  readonly numRows: number;
  /** Added to each stored number. */
  readonly offset: number;
}

/** Unpacks zeros [out, groups]. @throws FormatError "format/tensor" for one that does not fit in a byte */
export function unpackZeros(
  tensor: HostTensor,
  { path, name, bits, numRows, offset }: PackedZeros,
): HostTensor<"uint8"> {
  const packed = bytesOf(tensor.data);
  const numGroups = sizeAt(tensor.shape, 0);
  const zeros = new Uint8Array(numRows * numGroups);
  const row = new Uint8Array(numRows);
  for (let group = 0; group < numGroups; group++) {
    unpackRow(packed, (group * packed.length) / numGroups, bits, row);
    for (let i = 0; i < numRows; i++) {
      const zero = row[i]! + offset;
      if (zero > 255) throw damagedCodes(path, name, `zero ${zero} of output ${i}`, "at most 255");
      zeros[i * numGroups + group] = zero;
    }
  }
  return hostTensor("uint8", [numRows, numGroups], zeros);
}
