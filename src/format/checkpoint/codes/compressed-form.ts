/**
 * @file The form of compressed-tensors (llm-compressor, vLLM; RedHat's and Neural Magic's models); only read. A linear layer M has:
 *
 *   M.weight_packed, M.weight    whole numbers of a few bits in words (`compressed-words.ts`), int8, or F8_E4M3 (`fp8-tensors.ts`)
 *   M.weight_scale               a scale for the whole, each row, group of a row or block
 *
 * The names of tensors tell which layers are in codes; without tensors, `targets` and `ignore` of the settings do.
 */
import { FLOAT_BYTES } from "../../../graph/dtype.ts";
import { CODE_BITS, type CodeBits } from "../../../graph/ops/products/unpack-codes.ts";
import type { JsonObject } from "../../files/json-file.ts";
import { refusedVariant, showSetting } from "./codes-errors.ts";
import type { CodesForm, CodesTensor, HeldForm, OutlinedMatrix } from "./codes-form.ts";
import { findSignedBytes, findWords } from "./compressed-words.ts";
import { findFp8, heldFp8, OF_ACTIVATIONS } from "./fp8-tensors.ts";
import { groupSizeOf, heldCodes } from "./held-codes.ts";
import { targetsIn } from "./named-modules.ts";
import { type BlockSize, isBlockSize, sharedColumns } from "./scale-grid.ts";

const FORMATS = ["pack-quantized", "int-quantized", "float-quantized", "naive-quantized"];
const SCALE = ".weight_scale";
/** A target that is the class of all projections. */
const ANY_LINEAR = "Linear";

export const compressedForm: CodesForm = {
  name: "compressed-tensors",
  claims: ({ quant_method: method }) => method === "compressed-tensors",
  requireKnown,

  async find(settings, weights) {
    const ofWeights = groupsOf(settings).map((group) => (group["weights"] ?? {}) as JsonObject);
    const bits = ofWeights.map((group) => group["num_bits"] as CodeBits);
    const block = ofWeights.map((group) => group["block_structure"] as BlockSize | null).find((size) => size);
    const found: CodesTensor[] = [];
    for (const key of weights.tensors.keys()) {
      if (!key.endsWith(SCALE)) continue;
      const module = key.slice(0, -SCALE.length);
      const isWhole = weights.tensors.get(`${module}.weight`)?.dtype === "int8";
      if (weights.tensors.has(`${module}.weight_packed`)) found.push(await findWords(weights, module, bits));
      else if (isWhole) found.push(findSignedBytes(weights, module));
      else found.push(findFp8(weights, module, key, block ?? null));
    }
    return found;
  },

  outline(path, settings) {
    const isIgnored = targetsIn(settings["ignore"]);
    const groups = groupsOf(settings).map(({ targets, weights }) => ({
      isTarget: targetsIn(targets),
      isAll: Array.isArray(targets) && targets.includes(ANY_LINEAR),
      weights: (weights ?? {}) as JsonObject,
    }));
    if (isIgnored === null || groups.some(({ isTarget }) => isTarget === null)) return null;
    return (matrix) => {
      if (matrix.role === "embedding" || isIgnored(matrix.module)) return null;
      // A group that names the module takes precedence over one for the class of all projections, whatever their order.
      const own =
        groups.find(({ isTarget }) => isTarget!(matrix.module)) ?? groups.find(({ isAll }) => isAll);
      return own ? heldBy(path, own.weights, matrix) : null;
    };
  },

  passesOver: OF_ACTIVATIONS,
  writing: "read-only",
};

const isObject = (value: unknown): value is JsonObject => typeof value === "object" && value !== null;

/** How a matrix of a group is held, by the group's settings for weights. */
function heldBy(
  path: string,
  { type, num_bits: bits, group_size: size, block_structure: block }: JsonObject,
  matrix: OutlinedMatrix,
): HeldForm {
  const { shape, numColumns } = matrix;
  const groupSize = isBlockSize(block) ? sharedColumns(numColumns, block) : groupSizeOf(path, matrix, size);
  if (type === "float") return heldFp8(shape, groupSize);
  return heldCodes(bits as CodeBits, shape, groupSize, FLOAT_BYTES);
}

function groupsOf({ config_groups: groups }: JsonObject): readonly JsonObject[] {
  return isObject(groups) ? Object.values(groups).filter(isObject) : [];
}

function requireKnown(path: string, settings: JsonObject): void {
  const groups = groupsOf(settings);
  const { sparsity_config: sparsity, transform_config: transform } = settings;
  const sparse = isObject(sparsity) ? (sparsity["format"] ?? "dense") : "dense";
  const named = [...groups, settings].flatMap(({ format }) => (typeof format === "string" ? [format] : []));
  const formats = named.filter((format) => format !== "mixed-precision");
  const problems = [
    ...formats.filter((format) => !FORMATS.includes(format)).map((format) => `format ${format}`),
    ...(sparse === "dense" ? [] : [`sparse weights (${JSON.stringify(sparse)})`]),
    ...(isObject(transform) && Object.keys(transform).length > 0 ? ["transform_config"] : []),
    ...groups.flatMap((group) => problemOf(group)),
  ];
  if (problems.length === 0) return;
  throw refusedVariant(
    path,
    `quantization with ${[...new Set(problems)].join(", ")}`,
    `format ${FORMATS.join(", ")}, dense weights of ${CODE_BITS.join(", ")} bits`,
  );
}

/** Lists what graft does not support in the settings of a group of layers. */
function problemOf({ weights }: JsonObject): string[] {
  if (!isObject(weights)) return ["only activations"];
  const { num_bits: bits, type = "int", block_structure: block = null } = weights;
  const isKnown = type === "float" ? bits === 8 : CODE_BITS.some((known) => known === bits);
  return [
    ...(isKnown ? [] : [`${showSetting(type)} weights of ${showSetting(bits)} bits`]),
    ...(block === null || isBlockSize(block) ? [] : [`block_structure ${JSON.stringify(block)}`]),
  ];
}
