/** @file Memory that a caller asks for by sizes of its own: where the machine has not so much, it is told so. */
import { CapacityError } from "../../errors.ts";
import { showByteSize } from "../../messages/byte-size.ts";

/** Makes memory of so many bytes; `what` follows "Cannot make". @throws CapacityError "capacity/memory" */
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
