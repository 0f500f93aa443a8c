/** @file Finds out from a configuration alone how weights of a model are held, and so their sizes. */
import { UsageError } from "../../errors.ts";
import { showValue } from "../../messages/expected.ts";
import { sizeAt } from "../../graph/shape.ts";
import type { ModelTensor } from "../../models/graphs/sites.ts";
import { storedBytes } from "../../quant/storage.ts";
import { STORAGES } from "../../quant/storages.ts";
import type { Folder } from "../files/folder.ts";
import type { JsonObject } from "../files/json-file.ts";
import type { HeldForm } from "./codes/codes-form.ts";
import { findForm, type FoundForm, quantizationKey } from "./codes/codes-forms.ts";
import { STORAGE_OF } from "./folder-dtypes.ts";

const WEIGHTS = /\.(safetensors|gguf|bin|pth?)(\.index\.json)?$/;
/** Ending of the name of a matrix that may be in codes. */
const WEIGHT = ".weight";
/** The default of transformers, for configurations that name no type. */
const USUAL_DTYPE = "float32";

/** Whether a file holds weights, or is an index of files that do. */
export function isOfWeights(name: string): boolean {
  return WEIGHTS.test(name);
}

/** Whether a folder with these files has a configuration and no weights. */
export function isOutline(names: readonly string[]): boolean {
  return names.includes("config.json") && !names.some(isOfWeights);
}

/** What a configuration tells about weights. */
interface WeightsOutline {
  /** The form in which matrices are codes; null: all are floats. */
  readonly found: FoundForm | null;
  /** How a tensor is held. */
  held(tensor: ModelTensor): HeldForm;
}

/** Reads from a configuration how weights are held; null if it does not tell their sizes. @throws as `findForm` */
export async function readOutline(folder: Folder, config: JsonObject): Promise<WeightsOutline | null> {
  const found = await findForm(folder, config);
  const ofMatrix = found && found.form.outline?.(folder.path, found.settings);
  const named = namedDtype(config);
  const storage = Object.entries(STORAGE_OF).find(([name]) => name === named)?.[1];
  const isTold = found ? ofMatrix != null : quantizationKey(config) === null;
  if (storage === undefined || !isTold) return null;
  return {
    found,
    held: (tensor) => {
      const { name, shape } = tensor;
      const isMatrix = shape.length === 2 && name.endsWith(WEIGHT);
      const inCodes = isMatrix
        ? ofMatrix?.({ ...tensor, module: name.slice(0, -WEIGHT.length), numColumns: sizeAt(shape, -1) })
        : null;
      return inCodes ?? { storage, sizeBytes: storedBytes(STORAGES[storage], shape) };
    },
  };
}

function namedDtype(config: JsonObject): unknown {
  const { dtype, torch_dtype: older } = {
    ...(config["text_config"] as typeof config | undefined),
    ...config,
  };
  return dtype ?? older ?? USUAL_DTYPE;
}

/** Makes the error for a model whose configuration does not tell the sizes of weights. */
export function unknownSizes(path: string, config: JsonObject): UsageError {
  const key = quantizationKey(config);
  const [what, expected] =
    key === null
      ? [`dtype ${showValue(namedDtype(config))}`, Object.keys(STORAGE_OF).join(", ")]
      : [key, "weights, whose sizes it does not give"];
  return new UsageError(
    "usage/model",
    `Cannot plan with the configuration of "${path}": ${what}, expected ${expected}`,
    { hint: "Download the whole model, then plan again." },
  );
}
