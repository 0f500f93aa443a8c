/** @file What a model that was closed is asked for is refused. */
import { UsageError } from "../../errors.ts";

/** `action` follows "Cannot". */
export function closedModel(action: string, name: string): UsageError {
  return new UsageError(
    "usage/state",
    `Cannot ${action}: model "${name}" is closed and its programs are released`,
    { hint: "Close a model only when you are done with it, or open it again." },
  );
}
