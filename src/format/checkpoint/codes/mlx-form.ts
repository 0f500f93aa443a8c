/**
 * @file The form of MLX (mlx-lm's `convert -q`); only read, in 4 bits. Of a matrix M [out, in] with one scale for each group of a row:
 *
 *   M.weight uint32 [out, in/8]      eight codes a word, lowest bits first
 *   M.scales, M.biases [out, groups] float16 or bfloat16
 *
 *   weight[o, i] = scales[o, g] · code[o, i] + biases[o, g]     g = ⌊i / groupSize⌋
 *
 * That is q4_1 with scales that several blocks share, so it is held as such, in float16: exact but for numbers below its normal ones.
 */
import { bytesOf } from "../../../graph/dtype.ts";
import { showShape } from "../../../graph/shape.ts";
import { float32ToFloat16, widen } from "../../../quant/codes/half.ts";
import { storedBytes } from "../../../quant/storage.ts";
import { STORAGES } from "../../../quant/storages.ts";
import { type HostTensor, hostTensor } from "../../../runtime/host-tensor.ts";
import type { JsonObject } from "../../files/json-file.ts";
import type { Safetensors } from "../../files/safetensors/safetensors.ts";
import { damagedCodes, refusedVariant, showPart } from "./codes-errors.ts";
import type { CodesForm, CodesTensor } from "./codes-form.ts";

const PER_WORD = 8;
const { blockSize: BLOCK } = STORAGES.q4_1;

export const mlxForm: CodesForm = {
  name: "mlx",
  claims: ({ quant_method: method, bits, group_size: groupSize, desc_act: order }) =>
    method === undefined && bits !== undefined && groupSize !== undefined && order === undefined,

  // oxlint-disable-next-line typescript/require-await -- what it throws is to come as a rejection
  async find(settings, weights) {
    const ending = ".scales";
    const modules = [...weights.tensors.keys()]
      .filter((key) => key.endsWith(ending))
      .map((key) => key.slice(0, -ending.length));
    if (modules.length > 0) requireKnown(weights.path, settings, modules);
    return modules.map((module) => findOne(module, Number(settings["group_size"]), weights));
  },

  writing: "read-only",
};

/** @throws UsageError "usage/quantization" for a variant that is not read */
function requireKnown(path: string, settings: JsonObject, modules: readonly string[]): void {
  const { mode = "affine", group_size: groupSize } = settings;
  const isOther = (found: unknown): boolean => {
    const { bits, group_size: size } = found as JsonObject;
    return bits !== 4 || size !== groupSize || Number(size) % BLOCK !== 0;
  };
  const other = modules.find((module) => typeof settings[module] === "object" && isOther(settings[module]));
  if (mode === "affine" && !isOther(settings) && other === undefined) return;
  const found = other === undefined ? settings : (settings[other] as JsonObject);
  const where = other === undefined ? "" : ` of "${other}"`;
  throw refusedVariant(
    path,
    `quantization${where} with bits ${String(found["bits"])}, group_size ${String(found["group_size"])}, mode ${String(mode)}`,
    `bits 4, one group_size, a multiple of ${BLOCK}, mode affine`,
  );
}

/** @throws FormatError "format/tensor" when parts are missing or of other sizes, UsageError "usage/quantization" for wider scales */
function findOne(module: string, groupSize: number, weights: Safetensors): CodesTensor {
  const parts = [`${module}.weight`, `${module}.scales`, `${module}.biases`] as const;
  const [words, scales, biases] = parts.map((part) => weights.tensors.get(part));
  const [numRows = 0, numWords = 0] = words?.shape ?? [];
  const numColumns = numWords * PER_WORD;
  const groups = showShape([numRows, numColumns / groupSize]);
  // Of a model that was converted from float32 and keeps that.
  if (scales?.fileDtype === "F32") {
    throw refusedVariant(
      weights.path,
      `scales of "${module}" in F32`,
      "F16 or BF16, as mlx_lm.convert --dtype bfloat16 writes",
    );
  }
  const fits =
    words?.dtype === "int32" &&
    [scales, biases].every(
      (part) => ["F16", "BF16"].includes(part?.fileDtype ?? "") && showShape(part!.shape) === groups,
    );
  if (!fits) {
    const found = [words, scales, biases].map(showPart);
    throw damagedCodes(
      weights.path,
      module,
      `weight ${found[0]}, scales ${found[1]}, biases ${found[2]}`,
      `U32 [outputs, inputs / ${PER_WORD}], F16 or BF16 [outputs, inputs / ${groupSize}] twice`,
    );
  }
  const shape = [numRows, numColumns];
  const perBlock = (groupValues: HostTensor): HostTensor<"float16"> => {
    const values = float32ToFloat16(widen(groupValues).data);
    const repeated = groupSize / BLOCK;
    const blocks = Uint16Array.from(
      { length: values.length * repeated },
      (_, i) => values[Math.floor(i / repeated)]!,
    );
    return hostTensor("float16", [numRows, numColumns / BLOCK], blocks);
  };
  return {
    info: { name: parts[0], shape, storage: "q4_1", sizeBytes: storedBytes(STORAGES.q4_1, shape) },
    parts,
    read: async () => {
      const codes = bytesOf((await weights.read(parts[0])).data);
      return {
        storage: "q4_1",
        shape,
        planes: {
          codes: hostTensor("uint8", [numRows, numColumns / 2], codes),
          scale: perBlock(await weights.read(parts[1])),
          min: perBlock(await weights.read(parts[2])),
        },
      };
    },
  };
}
