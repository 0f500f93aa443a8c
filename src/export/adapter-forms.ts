/** @file The list of forms of adapter files. */
import { gguf } from "./adapter-forms/gguf.ts";
import { mlx } from "./adapter-forms/mlx.ts";
import { peft } from "./adapter-forms/peft.ts";
import type { AdapterForm } from "./adapter-form.ts";

export const ADAPTER_FORMS = { peft, gguf, mlx } as const satisfies Record<string, AdapterForm>;

export type AdapterFormName = keyof typeof ADAPTER_FORMS;

export const ADAPTER_FORM_NAMES = Object.keys(ADAPTER_FORMS) as [AdapterFormName, ...AdapterFormName[]];
