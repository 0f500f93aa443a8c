/** @file How matrices in codes with a scale and a zero for each group are held, for every form. */
import { type CodeBits, packedBytes } from "../../../graph/ops/products/unpack-codes.ts";
import { refusedVariant } from "./codes-errors.ts";
import type { HeldForm, OutlinedMatrix } from "./codes-form.ts";

/** Bytes of a scale in 16 bits, as tools write them. */
export const HALF_BYTES = 2;

/** How a matrix [rows, columns] is held in groups of a row, with scales of `scaleBytes` each. */
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
 * Reads the size of groups: whole rows if it is -1, absent or more than a row has.
 * @throws UsageError "usage/quantization" when groups do not fill a row
 */
export function groupSizeOf(
  path: string,
  { module, numColumns }: Pick<OutlinedMatrix, "module" | "numColumns">,
  size: unknown,
): number {
  if (typeof size !== "number" || size <= 0 || size >= numColumns) return numColumns;
  if (Number.isInteger(size) && numColumns % size === 0) return size;
  throw refusedVariant(
    path,
    `${numColumns} inputs of "${module}" in groups of ${size}`,
    "groups that divide them",
  );
}
