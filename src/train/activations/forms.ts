/** @file The list of forms in which activations are kept for the backward pass. */
import { disk } from "./disk.ts";
import { float16 } from "./float16.ts";
import { float32 } from "./float32.ts";
import type { ActivationForm } from "./keeping.ts";

export const ACTIVATION_FORMS = [float32, float16, disk] as const satisfies readonly ActivationForm[];

/** Finds a form that is in the list. */
export function findActivationForm(name: string): ActivationForm {
  return ACTIVATION_FORMS.find((form) => form.name === name) ?? float32;
}
