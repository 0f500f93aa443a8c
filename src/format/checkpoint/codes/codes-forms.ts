/** @file All forms in which model folders keep codes. To add one: its file and one line here. */
import { type Folder, readJsonIfPresent } from "../../files/folder.ts";
import type { JsonObject } from "../../files/json-file.ts";
import type { CodesForm } from "./codes-form.ts";
import { gptqForm } from "./gptq-form.ts";
import { packedForm } from "./packed-form.ts";

export const CODES_FORMS: readonly CodesForm[] = [packedForm, gptqForm];

/** The form of a folder, and its settings. */
export interface FoundForm {
  readonly form: CodesForm;
  readonly settings: JsonObject;
}

/** Finds the form of a folder by its config.json, or by the file that older tools write; null: none that graft knows. */
export async function findForm(folder: Folder, config: JsonObject): Promise<FoundForm | null> {
  const found = config["quantization_config"] ?? (await readJsonIfPresent(folder, "quantize_config.json"));
  if (typeof found !== "object" || found === null) return null;
  const settings = found as JsonObject;
  const form = CODES_FORMS.find((known) => known.claims(settings));
  return form ? { form, settings } : null;
}
