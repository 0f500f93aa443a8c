/** @file What a configuration alone tells of a model: which storage its weights have, and so their sizes. */
import { UsageError } from "../../errors.ts";
import { showValue } from "../../messages/expected.ts";
import type { StorageName } from "../../quant/storages.ts";
import { quantizationKey } from "./codes/codes-forms.ts";
import { STORAGE_OF } from "./folder-dtypes.ts";

const WEIGHTS = /\.(safetensors|gguf|bin|pth?)(\.index\.json)?$/;
/** transformers' own, where a configuration names none. */
const USUAL_DTYPE = "float32";

/** Whether a file holds weights, or says which files do. */
export function isOfWeights(name: string): boolean {
  return WEIGHTS.test(name);
}

/** Whether a folder with these files has a configuration and no weights. */
export function isOutline(names: readonly string[]): boolean {
  return names.includes("config.json") && !names.some(isOfWeights);
}

/** The storage that a configuration says its weights have; null where it does not tell their sizes. */
export function outlineStorage(config: Readonly<Record<string, unknown>>): StorageName | null {
  if (quantizationKey(config) !== null) return null;
  const named = namedDtype(config);
  return Object.entries(STORAGE_OF).find(([name]) => name === named)?.[1] ?? null;
}

function namedDtype(config: Readonly<Record<string, unknown>>): unknown {
  const { dtype, torch_dtype: older } = {
    ...(config["text_config"] as typeof config | undefined),
    ...config,
  };
  return dtype ?? older ?? USUAL_DTYPE;
}

/** Makes the error of a model that cannot be planned so. */
export function unknownSizes(path: string, config: Readonly<Record<string, unknown>>): UsageError {
  const key = quantizationKey(config);
  const [what, expected] =
    key === null
      ? [`dtype ${showValue(namedDtype(config))}`, Object.keys(STORAGE_OF).join(", ")]
      : [key, "weights, whose sizes it does not tell"];
  return new UsageError(
    "usage/model",
    `Cannot plan with the configuration of "${path}": ${what}, expected ${expected}`,
    { hint: "Fetch the whole model, then plan again." },
  );
}
