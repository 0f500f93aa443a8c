/** @file The settings of a folder in GPTQ's form: which variants are read, and which matrices are in codes. */
import { CODE_BITS, type CodeBits } from "../../../graph/ops/products/unpack-codes.ts";
import type { JsonObject } from "../../files/json-file.ts";
import { refusedVariant, showSetting } from "./codes-errors.ts";
import type { CodesForm } from "./codes-form.ts";
import { groupSizeOf, HALF_BYTES, heldCodes } from "./held-codes.ts";
import { matchesOf, stringsOf } from "./named-modules.ts";

/** Prefix of an expression for modules that are left in floats. */
const LEFT_OUT = "-:";

/** Whether the settings of a module are an empty object, as Qwen's models have for the head. */
const saysNothing = (own: unknown): boolean =>
  typeof own === "object" && own !== null && Object.keys(own).length === 0;

/** Reads the bits of codes. @throws UsageError "usage/quantization" for a variant that is not read */
export function bitsOf(path: string, settings: JsonObject): CodeBits {
  const { bits, checkpoint_format: format = "gptq", pack_dtype: word = "int32", dynamic } = settings;
  const overrides = Object.entries((dynamic as object | null) ?? {}).flatMap(([key, own]) =>
    key.startsWith(LEFT_OUT) || saysNothing(own) ? [] : [key],
  );
  const problems = [
    ...(CODE_BITS.some((known) => known === bits)
      ? []
      : [`bits ${showSetting(bits)} (not ${CODE_BITS.join(", ")})`]),
    ...(format === "gptq" || format === "gptq_v2" ? [] : [`checkpoint_format ${JSON.stringify(format)}`]),
    ...(word === "int32" ? [] : [`pack_dtype ${JSON.stringify(word)}`]),
    ...(overrides.length === 0 ? [] : [`dynamic settings for ${overrides.join(", ")}`]),
  ];
  if (problems.length > 0) {
    throw refusedVariant(
      path,
      `quantization with ${problems.join("; ")}`,
      "checkpoint_format gptq or gptq_v2, one setting for all layers",
    );
  }
  return bits as CodeBits;
}

/** Matrices of blocks that GPTQModel and AutoGPTQ leave in floats in every family: routers, and gates of delta nets. */
const NEVER = /\.(gate|shared_expert_gate|in_proj_[ab])$/;

/** Tells which matrices are in codes: projections of blocks, and the head if settings say so. */
export const outlineGptq: NonNullable<CodesForm["outline"]> = (path, settings) => {
  const { group_size: size, dynamic, lm_head: hasHead, modules_in_block_to_quantize: inside } = settings;
  const bits = bitsOf(path, settings);
  const expressions = Object.keys((dynamic as object | null) ?? {}).filter((key) => key.startsWith(LEFT_OUT));
  const isLeftOut = matchesOf(expressions.map((key) => key.slice(LEFT_OUT.length)));
  if (isLeftOut === null) return null;
  const chosen = Array.isArray(inside) ? stringsOf(inside.flat()).map((name) => `.${name}`) : null;
  return (matrix) => {
    const { module, layer, role, shape } = matrix;
    const isIn =
      layer === null
        ? role === "head" && hasHead === true
        : (chosen?.some((end) => module.endsWith(end)) ?? !NEVER.test(module));
    return isIn && !isLeftOut(module)
      ? heldCodes(bits, shape, groupSizeOf(path, matrix, size), HALF_BYTES)
      : null;
  };
};
