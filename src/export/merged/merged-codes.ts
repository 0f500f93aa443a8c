/** @file The matrices of a merged model that its folder stores as codes. */
import { basename } from "node:path";
import { UsageError } from "../../errors.ts";
import type { FormWriting } from "../../format/checkpoint/codes/codes-form.ts";
import { CODES_FORMS } from "../../format/checkpoint/codes/codes-forms.ts";
import type { JsonObject } from "../../format/files/json-file.ts";
import type { TensorSource } from "../../format/files/safetensors/safetensors-writer.ts";
import { moduleOf } from "../../models/module-path.ts";
import { keepsCodes } from "../../peft/method.ts";
import { METHODS } from "../../peft/methods.ts";
import type { KindRequest } from "./merged-kinds.ts";
import type { MergedTensor } from "./merged-tensors.ts";

/** What a folder stores as codes; `settings` null: nothing. */
interface PlannedCodes {
  readonly settings: JsonObject | null;
  readonly codes: readonly (readonly [string, TensorSource])[];
  readonly readBy: FormWriting["readBy"];
}

/**
 * Plans the parts of all matrices that are stored as codes.
 * @throws UsageError "usage/quantization" when there are none, and for what the form cannot represent
 */
export function planCodes(
  { base, checkpoint, to }: Omit<KindRequest, "kind">,
  tensors: readonly MergedTensor[],
): PlannedCodes {
  const form = CODES_FORMS.map(({ writing }) => writing)
    .filter((writing) => writing !== "read-only")
    .find((writing) => writing.to === to);
  if (form === undefined) return { settings: null, codes: [], readBy: "transformers" };
  const name = basename(base.name);
  const refuse = (found: string, expected: string): UsageError =>
    new UsageError(
      "usage/quantization",
      `Cannot write model "${name}" as ${to}: ${found}, expected ${expected}`,
      { hint: "Write floats with --to hf, or a GGUF file with --to gguf." },
    );
  const sources = tensors.flatMap((tensor) =>
    tensor.groupSize === null ? [] : [{ ...tensor, groupSize: tensor.groupSize }],
  );
  if (sources.length === 0) {
    throw refuse(
      "none of its matrices is in codes of 2, 3, 4 or 8 bits with integer zeros",
      `an adapter of method ${METHODS.filter(keepsCodes)
        .map((method) => method.name)
        .join(" or ")} on floats, or a base in codes`,
    );
  }
  const isLinear = ({ name: tensor }: MergedTensor): boolean => {
    const isInBlock = (base.model.tensors.get(tensor)?.layer ?? null) !== null;
    const site = base.model.siteOf(moduleOf(tensor));
    return isInBlock && tensor.endsWith(".weight") && site !== undefined && site.role !== "router";
  };
  const missing = tensors.find((tensor) => tensor.groupSize === null && isLinear(tensor));
  // The base's settings list the matrices that stay floats, and how codes are stored.
  const isAsBase = checkpoint.format === to && sources.every(({ own, storage }) => own === storage);
  if (form.isForAll && missing && (!isAsBase || missing.own !== missing.storage)) {
    throw refuse(
      `"${missing.name}" would be in ${missing.storage}`,
      "every projection of the blocks in codes",
    );
  }
  const old = isAsBase ? (checkpoint.quantization ?? null) : null;
  const settings = form.settings(name, sources, old);
  const codes = sources.flatMap((source) => form.toTensors(source, settings));
  return { settings, codes, readBy: form.readBy };
}
