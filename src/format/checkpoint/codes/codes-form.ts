/**
 * @file Contract of a form: a way in which a model folder keeps the codes of quantized matrices beside tensors of floats. The
 * settings of the form are `quantization_config` of config.json.
 */
import type { StorageName } from "../../../quant/storages.ts";
import type { StoredTensor } from "../../../quant/stored-tensor.ts";
import type { HostTensor } from "../../../runtime/host-tensor.ts";
import type { JsonObject } from "../../files/json-file.ts";
import type { Safetensors } from "../../files/safetensors/safetensors.ts";
import type { LazyTensor } from "../../files/safetensors/safetensors-writer.ts";
import type { ModelTensor } from "../../../models/graphs/sites.ts";
import type { ModelFormat, TensorInfo } from "../checkpoint.ts";

/** A matrix that a folder keeps in parts. */
export interface CodesTensor {
  readonly info: TensorInfo;
  /** Names of its parts in the file. */
  readonly parts: readonly string[];
  read(): Promise<StoredTensor>;
}

/** How a matrix is held in memory. */
export type HeldForm = Omit<TensorInfo, "name" | "shape">;

/** A matrix of a model of which only the configuration is known. */
export interface OutlinedMatrix extends Pick<ModelTensor, "shape" | "role" | "layer"> {
  /** Its name without ".weight". */
  readonly module: string;
  /** Elements of a row. */
  readonly numColumns: number;
}

/** A matrix to write. */
interface CodesSource {
  /** Name of the matrix, which ends in ".weight". */
  readonly name: string;
  readonly shape: readonly number[];
  readonly storage: StorageName;
  readonly groupSize: number;
  readonly load: () => Promise<StoredTensor>;
}

export interface CodesForm {
  /** Its name in messages. */
  readonly name: string;
  /** Whether settings belong to this form. */
  claims(settings: JsonObject): boolean;
  /**
   * Checks settings, before weights are fetched; absent: `find` does. `path` is for messages.
   * @throws UsageError "usage/quantization" for variants that graft does not read
   */
  requireKnown?(path: string, settings: JsonObject): void;
  /**
   * Finds the matrices that are kept in this form.
   * @throws UsageError "usage/quantization" for variants that graft does not read; FormatError "format/tensor" for parts that
   * do not fit each other
   */
  find(settings: JsonObject, weights: Safetensors): Promise<readonly CodesTensor[]>;
  /**
   * Finds out from settings how each matrix is held; the returned function gives null for a matrix in floats. Null, or no
   * `outline`: the settings do not tell. It may accept what `find` refuses. `path` is for messages.
   * @throws UsageError "usage/quantization" for variants that graft does not read
   */
  outline?(path: string, settings: JsonObject): ((matrix: OutlinedMatrix) => HeldForm | null) | null;
  /** Matches names of tensors that do not concern weights and are ignored; absent: there are none. */
  readonly passesOver?: RegExp;
  /**
   * Whether a matrix is read from the file each time that it is used. That is cheap if its planes are unchanged bytes of the file,
   * which the system keeps in its cache. Absent: matrices are made once and held in memory.
   */
  readonly isInFile?: true;
  readonly writing: FormWriting | "read-only";
}

/** How folders of a form are written. */
export interface FormWriting {
  /** The value of `--to` for this form. */
  readonly to: Exclude<ModelFormat, "hf" | "gguf">;
  /** The program that reads such a folder. */
  readonly readBy: "graft" | "transformers";
  /** Whether a folder can only be written with every projection of the blocks in codes. */
  readonly isForAll: boolean;
  /**
   * Makes the settings of a folder with these matrices. `old`: the settings of the base, if it has this form and its matrices such
   * codes. `modelName` is for messages.
   * @throws UsageError "usage/quantization" for what the form cannot express
   */
  settings(modelName: string, sources: readonly CodesSource[], old: JsonObject | null): JsonObject;
  /** Plans the parts of a matrix, each made only when it is written. */
  toTensors(source: CodesSource, settings: JsonObject): readonly (readonly [string, LazyTensor])[];
}

/** A part to write, and the function that makes it from its matrix. */
type PartPlan = readonly [
  name: string,
  dtype: LazyTensor["dtype"],
  shape: readonly number[],
  make: (stored: StoredTensor) => HostTensor,
];

/** Plans parts of a matrix, which is loaded once and held until all of them have been made. */
export function lazyParts(
  load: CodesSource["load"],
  parts: readonly PartPlan[],
): (readonly [string, LazyTensor])[] {
  let held: Promise<StoredTensor> | null = null;
  let left = parts.length;
  const whole = async (): Promise<StoredTensor> => {
    const loading = (held ??= load());
    if (--left === 0) held = null;
    return await loading;
  };
  return parts.map(([name, dtype, shape, make]) => [
    name,
    { dtype, shape, load: async () => make(await whole()) },
  ]);
}
