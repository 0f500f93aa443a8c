/** @file The error for using a model after it was closed. */
import { UsageError } from "../../errors.ts";

/** `action` follows "Cannot". */
export function closedModel(action: string, name: string): UsageError {
  return new UsageError(
    "usage/state",
    `Cannot ${action}: model "${name}" is closed and its programs are released`,
    { hint: "Close a model only when you are done with it, or open it again." },
  );
}
