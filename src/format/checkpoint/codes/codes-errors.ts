/** @file Errors for folders in codes that cannot be read. */
import { FormatError, UsageError } from "../../../errors.ts";
import { numElements, showShape } from "../../../graph/shape.ts";
import type { TensorRange } from "../../files/safetensors/safetensors-header.ts";
import type { Safetensors } from "../../files/safetensors/safetensors.ts";

/** Shows a part of a matrix in errors. */
export function showPart(part: Pick<TensorRange, "fileDtype" | "shape"> | undefined): string {
  return part ? `${part.fileDtype} ${showShape(part.shape)}` : "missing";
}

/** Shows a setting in errors: texts unquoted, everything else as JSON. Unlike `String`, this works for any object of a JSON file. */
export function showSetting(value: unknown): string {
  return typeof value === "string" ? value : (JSON.stringify(value) ?? "undefined");
}

/** Makes the error for a variant that graft does not read. */
export function refusedVariant(path: string, found: string, expected: string): UsageError {
  return new UsageError("usage/quantization", `Cannot open model "${path}": ${found}, expected ${expected}`, {
    hint: "Quantize the model again without settings that graft does not support, or use a GGUF file or the float model.",
  });
}

/** Makes the error for parts of a matrix that do not fit each other. */
export function damagedCodes(path: string, name: string, found: string, expected: string): FormatError {
  return new FormatError(
    "format/tensor",
    `Cannot read tensor "${name}" of "${path}": ${found}, expected ${expected}`,
    {
      hint: "The file does not match its quantization settings: download or convert the model again.",
    },
  );
}

/** Requires a part of this type and number of elements. @throws FormatError "format/tensor" */
export function requireSize(weights: Safetensors, name: string, dtype: string, length: number): void {
  const found = weights.tensors.get(name);
  if (found?.dtype === dtype && numElements(found.shape) === length) return;
  throw damagedCodes(weights.path, name, showPart(found), `${length} of ${dtype}`);
}
