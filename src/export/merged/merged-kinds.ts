/** @file Chooses the storage kinds of the tensors of a merged model. */
import { UsageError } from "../../errors.ts";
import type { Checkpoint, ModelFormat } from "../../format/checkpoint/checkpoint.ts";
import { folderDtype } from "../../format/checkpoint/folder-dtypes.ts";
import type { BaseModel } from "../../models/base/base-model.ts";
import type { Model } from "../../models/model.ts";
import { moduleOf } from "../../models/module-path.ts";
import {
  GGML_NAMES,
  STORAGE_NAMES,
  STORAGES,
  type StorageName,
  WRITABLE_NAMES,
} from "../../quant/storages.ts";
import type { MergedTensor, MergeParts } from "./merged-tensors.ts";

/** The model to merge into, and the format of the result. */
export interface KindRequest {
  readonly base: BaseModel;
  readonly checkpoint: Checkpoint;
  readonly to: ModelFormat;
  /** The result of `chooseKind`. */
  readonly kind: StorageName | null;
}

/**
 * Checks the kind in which to write the matrices of a model of format `from` in format `to`; null: each keeps its own kind, or
 * gets the nearest one.
 * @throws UsageError usage/flag for a type that the format does not have
 */
export function chooseKind(
  from: Checkpoint["format"],
  to: ModelFormat,
  type: StorageName | null,
): StorageName | null {
  if (type !== null && !WRITABLE_NAMES.includes(type)) {
    throw new UsageError(
      "usage/flag",
      `Cannot write a model of type ${type}: graft can only read it, expected ${WRITABLE_NAMES.join(", ")}`,
      { hint: "Choose one of these." },
    );
  }
  if (to === "gguf") return type;
  if (type === null) return to === "hf" && from !== "hf" ? "f32" : null;
  if (folderDtype(type) !== null) return type;
  const known = STORAGE_NAMES.filter((name) => folderDtype(name) !== null);
  throw new UsageError("usage/flag", `Cannot write a folder of type ${type}, expected ${known.join(", ")}`, {
    hint: "Choose one of these, or write a GGUF file.",
  });
}

/**
 * The kind of a tensor in a new GGUF file, as llama.cpp's programs choose it. Tensors that are no matrices are float32. A matrix
 * is float16 if its rows are no whole blocks, or if it is stored transposed in such files. Embedding and head, which matter most,
 * have at least 8 bits.
 */
function ggufKind(
  kind: StorageName,
  { name, shape, role }: Pick<MergedTensor, "name" | "shape" | "role">,
  model: Model,
): StorageName {
  if (shape.length !== 2 || role === "buffer") return "f32";
  const isTable = role === "embedding" || role === "head";
  const { blockSize, blockBytes } = STORAGES[kind];
  const chosen = isTable && blockBytes < blockSize ? "q8_0" : kind;
  const isTurned = STORAGES[chosen].blockSize > 1 && model.siteOf(moduleOf(name))?.storedTransposed === true;
  return isTurned || shape.at(-1)! % STORAGES[chosen].blockSize !== 0 ? "f16" : chosen;
}

/** The type of a GGUF file's matrices if none was given and none stores the merged weights exactly. */
const GGUF_DEFAULT = "f16";

/**
 * Whether a kind has blocks of ggml that are not integers with a scale: a model was made for them, and no other kind represents
 * its values in as few bits.
 */
function isBlocksOfFloats(name: StorageName): boolean {
  const { ggmlTypes, blockSize, affine } = STORAGES[name];
  return ggmlTypes.length > 0 && blockSize > 1 && affine === "not-affine";
}

/** Chooses the kind of each tensor. */
export function chooserOf({ base, checkpoint, to, kind }: KindRequest): MergeParts["storageFor"] {
  const isDense = (name: StorageName): boolean => folderDtype(name) !== null;
  if (to === "hf") return ({ own }) => kind ?? own;
  if (to === "gguf") {
    return (tensor, exact) => {
      if (kind !== null) return exact.includes(kind) ? kind : ggufKind(kind, tensor, base.model);
      if (checkpoint.format === "gguf" || isBlocksOfFloats(tensor.own)) return tensor.own;
      const own = exact.find((name) => GGML_NAMES.includes(name));
      return own ?? ggufKind(GGUF_DEFAULT, tensor, base.model);
    };
  }
  return ({ own, isChanged }, exact) => {
    const isCodes = (name: StorageName): boolean =>
      STORAGES[name].affine !== "not-affine" && !GGML_NAMES.includes(name);
    const inCodes = isCodes(own) && !isChanged ? own : exact.find(isCodes);
    return inCodes ?? (isDense(own) ? (kind ?? own) : (kind ?? "f32"));
  };
}

/** The kind of matrices that the settings of a GGUF file name; null: as in the base's file. */
export function mainKind(
  { checkpoint, kind }: KindRequest,
  tensors: readonly MergedTensor[],
): StorageName | null {
  if (kind !== null || checkpoint.format === "gguf") return kind;
  const inBlocks = tensors.find(({ storage }) => STORAGES[storage].blockSize > 1);
  return inBlocks?.storage ?? GGUF_DEFAULT;
}

/** Changed tensors that get another kind than they had, because graft cannot write theirs. */
export interface Substitute {
  readonly from: StorageName;
  readonly to: StorageName;
  readonly numTensors: number;
}

/** Lists tensors that get another kind than they had, grouped by both kinds. */
export function listSubstitutes(tensors: readonly MergedTensor[]): Substitute[] {
  const found = new Map<string, Substitute>();
  for (const { own, storage } of tensors.filter((tensor) => tensor.own !== tensor.storage)) {
    const key = `${own} ${storage}`;
    const numTensors = (found.get(key)?.numTensors ?? 0) + 1;
    found.set(key, { from: own, to: storage, numTensors });
  }
  return [...found.values()];
}
