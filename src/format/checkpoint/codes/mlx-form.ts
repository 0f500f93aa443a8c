/**
 * @file The form of MLX (mlx-lm's `convert -q`); only read. A matrix M [out, in] with one scale for each group of a row has:
 *
 *   M.weight uint32 [out, in·b/32]   each row a bit stream of codes, lowest bits first
 *   M.scales, M.biases [out, groups] float16 or bfloat16
 *
 *   weight[o, i] = scales[o, g] · code[o, i] + biases[o, g]     g = ⌊i / groupSize⌋
 */
import { bytesOf } from "../../../graph/dtype.ts";
import { sameShape } from "../../../graph/shape.ts";
import type { JsonObject } from "../../files/json-file.ts";
import { stackNames } from "../../files/safetensors/expert-stacks.ts";
import type { Safetensors } from "../../files/safetensors/safetensors.ts";
import { damagedCodes, refusedVariant, showPart, showSetting } from "./codes-errors.ts";
import type { CodesForm, CodesTensor } from "./codes-form.ts";
import { namesOf } from "./named-modules.ts";
import { heldMatrix, MLX_BITS, MLX_BLOCK, type MlxSettings } from "./mlx-matrix.ts";

const WORD_BITS = 32;

export const mlxForm: CodesForm = {
  name: "mlx",
  claims: ({ quant_method: method, bits, group_size: groupSize, desc_act: order }) =>
    method === undefined && bits !== undefined && groupSize !== undefined && order === undefined,

  requireKnown: (path, settings) => void settingsOf(path, settings),

  async find(settings, weights) {
    const ending = ".scales";
    const modules = [...weights.tensors.keys()]
      .filter((key) => key.endsWith(ending))
      .map((key) => key.slice(0, -ending.length));
    return modules.map((module) => {
      const own = stackNames(module).find((name) => Object.hasOwn(settings, name));
      return findOne(module, settingsOf(weights.path, settings, own), weights);
    });
  },

  outline:
    (path, settings) =>
    ({ module, shape, numColumns }) => {
      const name =
        stackNames(module)
          .flatMap(namesOf)
          .find((each) => Object.hasOwn(settings, each)) ?? module;
      const { bits, groupSize } = settingsOf(path, settings, name);
      return settings[name] === false || numColumns % groupSize !== 0
        ? null
        : heldMatrix({ bits, groupSize }, shape).held;
    },

  writing: "read-only",
};

/** Reads the settings for a matrix, which may have its own. @throws UsageError "usage/quantization" for a variant that is not read */
function settingsOf(path: string, settings: JsonObject, module?: string): MlxSettings {
  const own = module !== undefined && Object.hasOwn(settings, module) ? settings[module] : null;
  const isOwn = typeof own === "object" && own !== null;
  const { mode = "affine", bits, group_size: groupSize } = isOwn ? { ...settings, ...own } : settings;
  const known = MLX_BITS.find((each) => each === bits);
  const isSize = Number.isInteger(groupSize) && Number(groupSize) > 0 && Number(groupSize) % MLX_BLOCK === 0;
  if (mode === "affine" && known && isSize) return { bits: known, groupSize: Number(groupSize) };
  throw refusedVariant(
    path,
    `quantization${isOwn ? ` of "${module}"` : ""} with bits ${showSetting(bits)}, group_size ${showSetting(groupSize)}, mode ${showSetting(mode)}`,
    `bits ${MLX_BITS.join(", ")}, group_size a multiple of ${MLX_BLOCK}, mode affine`,
  );
}

/** @throws FormatError "format/tensor" when parts are missing or of other sizes, UsageError "usage/quantization" for wider scales */
function findOne(module: string, { bits, groupSize }: MlxSettings, weights: Safetensors): CodesTensor {
  const parts = [`${module}.weight`, `${module}.scales`, `${module}.biases`] as const;
  const [words, scales, biases] = parts.map((part) => weights.tensors.get(part));
  const [numRows = 0, numWords = 0] = words?.shape ?? [];
  const numColumns = (numWords * WORD_BITS) / bits;
  const groups = [numRows, numColumns / groupSize];
  // The model was converted from float32 without changing the type.
  if (scales?.fileDtype === "F32") {
    throw refusedVariant(
      weights.path,
      `scales of "${module}" in F32`,
      "F16 or BF16, as mlx_lm.convert --dtype bfloat16 writes",
    );
  }
  const fits =
    words?.dtype === "int32" &&
    Number.isInteger(numColumns / groupSize) &&
    [scales, biases].every(
      (part) => ["F16", "BF16"].includes(part?.fileDtype ?? "") && sameShape(part!.shape, groups),
    );
  if (!fits) {
    const found = [words, scales, biases].map(showPart);
    throw damagedCodes(
      weights.path,
      module,
      `weight ${found[0]}, scales ${found[1]}, biases ${found[2]}`,
      `U32 [outputs, inputs · ${bits} / ${WORD_BITS}], F16 or BF16 [outputs, inputs / ${groupSize}] twice`,
    );
  }
  const shape = [numRows, numColumns];
  const { held, planesOf } = heldMatrix({ bits, groupSize }, shape);
  return {
    info: { name: parts[0], shape, ...held },
    parts,
    read: async () => {
      const codes = bytesOf((await weights.read(parts[0])).data) as Uint8Array<ArrayBuffer>;
      const planes = planesOf(codes, await weights.read(parts[1]), await weights.read(parts[2]));
      return { storage: held.storage, shape, planes };
    },
  };
}
