/** @file All forms in which model folders keep codes. To add one: its file and one line here. */
import { UsageError } from "../../../errors.ts";
import { showValue } from "../../../messages/expected.ts";
import { type Folder, readJsonIfPresent } from "../../files/folder.ts";
import type { JsonObject } from "../../files/json-file.ts";
import type { Checkpoint } from "../checkpoint.ts";
import { awqForm } from "./awq-form.ts";
import { bitsandbytesForm } from "./bitsandbytes-form.ts";
import type { CodesForm } from "./codes-form.ts";
import { compressedForm } from "./compressed-form.ts";
import { fp8Form } from "./fp8-form.ts";
import { gptqForm } from "./gptq-form.ts";
import { mlxForm } from "./mlx-form.ts";
import { mxfp4Form } from "./mxfp4-form.ts";
import { packedForm } from "./packed-form.ts";

export const CODES_FORMS: readonly CodesForm[] = [
  packedForm,
  gptqForm,
  awqForm,
  bitsandbytesForm,
  mlxForm,
  fp8Form,
  compressedForm,
  mxfp4Form,
];

/** Finds the key of the quantization settings in config.json, that of most tools or MLX's; null: there are none. */
export const quantizationKey = (config: JsonObject): string | null =>
  ["quantization_config", "quantization"].find((key) => config[key] != null) ?? null;

/** Removes the quantization settings from a configuration, if a form was found. */
export function withoutCodes(config: JsonObject, found: FoundForm | null): JsonObject {
  const { quantization_config: _ofMost, quantization: _ofMlx, ...plain } = config;
  return found ? plain : config;
}

/** The format of a folder with matrices in a form. */
export const formatOf = ({ writing }: CodesForm): Checkpoint["format"] =>
  writing === "read-only" ? "codes" : writing.to;

/** The form of a folder, and its settings. */
export interface FoundForm {
  readonly form: CodesForm;
  readonly settings: JsonObject;
}

/**
 * Finds the form of a folder by its config.json, or by the file that older tools write; null: neither names one.
 * @throws UsageError "usage/quantization" for a form, or a variant of one, that graft does not read
 */
export async function findForm(folder: Folder, config: JsonObject): Promise<FoundForm | null> {
  const key = quantizationKey(config);
  const found = key === null ? await readJsonIfPresent(folder, "quantize_config.json") : config[key];
  if (typeof found !== "object" || found === null) return null;
  const settings = found as JsonObject;
  const form = CODES_FORMS.find((known) => known.claims(settings));
  if (form) {
    form.requireKnown?.(folder.path, settings);
    return { form, settings };
  }
  const { quant_method: method } = settings;
  if (typeof method !== "string") return null;
  throw new UsageError(
    "usage/quantization",
    `Cannot open model "${folder.path}": its weights are quantized by ${showValue(method)}, expected floats or codes of ${CODES_FORMS.map(({ name }) => name).join(", ")}`,
    { hint: "Use the original float model, or a GGUF file of it." },
  );
}
