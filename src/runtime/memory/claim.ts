/** @file Allocates memory of a size that the caller chose, with a clear error when the machine has not enough. */
import { CapacityError } from "../../errors.ts";
import { showByteSize } from "../../messages/byte-size.ts";

/** Calls `make`, which allocates `sizeBytes`; in messages `what` follows "Cannot make". @throws CapacityError "capacity/memory" */
export function claim<T>(what: string, sizeBytes: number, make: () => T): T {
  try {
    return make();
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new CapacityError(
      "capacity/memory",
      `Cannot make ${what}: ${showByteSize(sizeBytes)}, expected no more than this machine has`,
      { hint: "Choose smaller sizes; those of an adapter depend on its rank.", cause },
    );
  }
}
