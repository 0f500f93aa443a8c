/** @file The error for a model whose output is NaN or infinite. */
import { FailedError } from "../errors.ts";

/** Makes the error; `action`, such as "classify", follows "Cannot". */
export function notFinite(action: string): FailedError {
  return new FailedError("engine/nan", `Cannot ${action}: the model's output is NaN or infinite`, {
    hint: "The weights of the model or of its adapter may be damaged.",
  });
}
