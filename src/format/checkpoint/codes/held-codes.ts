/** @file How matrices in codes with a scale and a zero for each group are held, whatever form they come from. */
import { type CodeBits, packedBytes } from "../../../graph/ops/products/unpack-codes.ts";
import { refusedVariant } from "./codes-errors.ts";
import type { HeldForm, OutlinedMatrix } from "./codes-form.ts";

/** The form of a matrix [rows, columns] in groups of a row, whose scales take so many bytes each. */
export function heldCodes(
  bits: CodeBits,
  [numRows = 0, numColumns = 0]: readonly number[],
  groupSize: number,
  scaleBytes: number,
): HeldForm {
  const ofGroups = (numColumns / groupSize) * (scaleBytes + 1);
  return {
    storage: `u${bits}`,
    groupSize,
    sizeBytes: numRows * (packedBytes(bits, numColumns) + ofGroups),
  };
}

/**
 * The size of groups of which settings say that it is so much; whole rows where they say -1, nothing, or more.
 * @throws UsageError "usage/quantization" when the last group of a row is shorter
 */
export function groupSizeOf(
  path: string,
  { module, numColumns }: Pick<OutlinedMatrix, "module" | "numColumns">,
  size: unknown,
): number {
  if (typeof size !== "number" || size <= 0 || size >= numColumns) return numColumns;
  if (numColumns % size === 0) return size;
  throw refusedVariant(
    path,
    `${numColumns} inputs of "${module}" in groups of ${size}`,
    "groups that divide them",
  );
}
