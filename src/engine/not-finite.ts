/** @file The error of a model whose output is no numbers. */
import { FailedError } from "../errors.ts";

/** The error where `action`, such as "classify", meets NaN or infinity. */
export function notFinite(action: string): FailedError {
  return new FailedError("engine/nan", `Cannot ${action}: the model's output is NaN or infinite`, {
    hint: "The weights of the model or of its adapter may be damaged.",
  });
}
