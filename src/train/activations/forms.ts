/** @file The list of forms in which activations are kept for the backward pass. */
import { findNamed } from "../../messages/find-named.ts";
import { disk } from "./disk.ts";
import { float16 } from "./float16.ts";
import { float32 } from "./float32.ts";
import type { ActivationForm } from "./keeping.ts";

export const ACTIVATION_FORMS = [float32, float16, disk] as const satisfies readonly ActivationForm[];

/** Finds a form by name. @throws UsageError "usage/flag" when there is none. */
export function findActivationForm(name: string): ActivationForm {
  return findNamed("activations", ACTIVATION_FORMS, name);
}
