/**
 * @file Contract of a form: how a model folder keeps the whole numbers of quantized matrices, beside tensors of floats. Its
 * settings are `quantization_config` of config.json.
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

/** How a matrix is held. */
export type HeldForm = Omit<TensorInfo, "name" | "shape">;

/** A matrix of a model whose weights are not there. */
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
  /** What messages call it. */
  readonly name: string;
  /** Whether settings are of this form. */
  claims(settings: JsonObject): boolean;
  /**
   * Looks at settings, before weights are fetched; absent: `find` does. `path` is for messages.
   * @throws UsageError "usage/quantization" for variants that graft does not read
   */
  requireKnown?(path: string, settings: JsonObject): void;
  /**
   * Finds the matrices that are kept so.
   * @throws UsageError "usage/quantization" for variants that graft does not read; FormatError "format/tensor" for parts that
   * do not fit each other
   */
  find(settings: JsonObject, weights: Safetensors): Promise<readonly CodesTensor[]>;
  /**
   * Reads of settings how each matrix is held; what it gives tells null for one in floats. Null, or no function: they do not tell.
   * Not all that `find` refuses need be refused. `path` is for messages.
   * @throws UsageError "usage/quantization" for variants that graft does not read
   */
  outline?(path: string, settings: JsonObject): ((matrix: OutlinedMatrix) => HeldForm | null) | null;
  /** Names of tensors that say nothing of weights; absent: there are none. */
  readonly passesOver?: RegExp;
  /**
   * Whether a matrix is read from the file each time that it is used. That costs little where its planes are bytes of the file as they
   * stand, which the system keeps in its cache. Absent: matrices are made once and held in memory.
   */
  readonly isInFile?: true;
  readonly writing: FormWriting | "read-only";
}

/** How folders of a form are written. */
export interface FormWriting {
  /** What `--to` calls the form. */
  readonly to: Exclude<ModelFormat, "hf" | "gguf">;
  /** Who reads such a folder. */
  readonly readBy: "graft" | "transformers";
  /** Whether a folder that is written has every projection of the blocks in codes. */
  readonly isForAll: boolean;
  /**
   * The settings of a folder with these matrices; `old`: those of the base when it has this form, and these matrices in such codes. `modelName` is for messages.
   * @throws UsageError "usage/quantization" for what the form cannot say
   */
  settings(modelName: string, sources: readonly CodesSource[], old: JsonObject | null): JsonObject;
  /** The parts of a matrix, each made when its turn comes. */
  toTensors(source: CodesSource, settings: JsonObject): readonly (readonly [string, LazyTensor])[];
}

/** A part to write, and what makes it of its matrix. */
type PartPlan = readonly [
  name: string,
  dtype: LazyTensor["dtype"],
  shape: readonly number[],
  make: (stored: StoredTensor) => HostTensor,
];

/** Plans parts of a matrix that is loaded once for all of them: it is held until each has been made. */
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
