/**
 * @file Writes the ordinary model that a base and its adapter make: a Hugging Face folder or a GGUF file.
 *
 * Into the base's own format every tensor keeps its kind, and what the adapter leaves alone keeps its bytes.
 */
import { basename } from "node:path";
import { UsageError } from "../../errors.ts";
import { moduleOf } from "../../models/module-path.ts";
import type { BaseModel } from "../../models/base/base-model.ts";
import type { Model } from "../../models/model.ts";
import type { Adapter } from "../../peft/attach.ts";
import { Merger } from "../../peft/merge.ts";
import {
  GGML_NAMES,
  STORAGE_NAMES,
  STORAGES,
  type StorageName,
  WRITABLE_NAMES,
} from "../../quant/storages.ts";
import type { StoredTensor } from "../../quant/stored-tensor.ts";
import type { Engine } from "../../runtime/engine.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import type { Checkpoint, ModelFormat } from "../../format/checkpoint/checkpoint.ts";
import { writeModel } from "../../format/by-path.ts";
import { folderDtype } from "../../format/checkpoint/folder-dtypes.ts";
import { planCodes } from "./merged-codes.ts";
import { writeGgufOfFolder, writeGgufOfGguf } from "./merged-gguf.ts";
import {
  type MergedTensor,
  mergedTensors,
  type MergeParts,
  type Rounding,
  RoundingTally,
} from "./merged-tensors.ts";
import { wholeModelCard } from "../../format/cards/whole-model-card.ts";
import { describeMaking } from "../provenance.ts";
import type { TensorSource } from "../../format/files/safetensors/safetensors-writer.ts";

/**
 * Checks the kind in which the matrices of a model of format `from` are to be written in format `to`; null: each in its own,
 * or what is nearest to that.
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
      `Cannot write a model of type ${type}: graft only reads it, expected ${WRITABLE_NAMES.join(", ")}`,
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

export interface MergeRequest {
  readonly engine: Engine;
  readonly base: BaseModel;
  readonly checkpoint: Checkpoint;
  readonly adapter: Adapter;
  /** A folder, or a file for "gguf". */
  readonly path: string;
  readonly to: ModelFormat;
  /** What `chooseKind` chose. */
  readonly kind: StorageName | null;
  /** Where the adapter was read, whose card says how it was made. */
  readonly adapterPath?: string;
  /** Told of the tensors that are made, one by one. */
  readonly onTensor?: (numDone: number, numTensors: number) => void;
}

/** Changed tensors that are written in another kind than they have, as graft does not write theirs. */
interface Substitute {
  readonly from: StorageName;
  readonly to: StorageName;
  readonly numTensors: number;
}

/** What was written. */
export interface MergeReport {
  /** Tensors that the adapter changes. */
  readonly numChanged: number;
  readonly substitutes: readonly Substitute[];
  readonly rounding: Rounding;
}

/**
 * The kind of a tensor in a new GGUF file, as the format's own programs choose it. What is no matrix is float32. A matrix is float16
 * where its rows fill no whole blocks, or where it lies transposed in such files. Embedding and head, on which most depends,
 * have at least 8 bits.
 */
function ggufKind(
  kind: StorageName,
  { name, shape, role }: Pick<MergedTensor, "name" | "shape" | "role">,
  model: Model,
): StorageName {
  if (shape.length !== 2) return "f32";
  const isTable = role === "embedding" || role === "head";
  const { blockSize, blockBytes } = STORAGES[kind];
  const chosen = isTable && blockBytes < blockSize ? "q8_0" : kind;
  const isTurned = STORAGES[chosen].blockSize > 1 && model.siteOf(moduleOf(name))?.storedTransposed === true;
  return isTurned || shape.at(-1)! % STORAGES[chosen].blockSize !== 0 ? "f16" : chosen;
}

/** The type of matrices of a GGUF file where none was asked for and none keeps the adapter exact. */
const GGUF_DEFAULT = "f16";

/** Chooses the kind of each tensor. */
function chooserOf({ base, checkpoint, to, kind }: MergeRequest): MergeParts["storageFor"] {
  const isDense = (name: StorageName): boolean => folderDtype(name) !== null;
  if (to === "hf") return ({ own }) => kind ?? own;
  if (to === "gguf") {
    return (tensor, exact) => {
      if (kind !== null) return exact.includes(kind) ? kind : ggufKind(kind, tensor, base.model);
      if (checkpoint.format === "gguf") return tensor.own;
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

/** What the settings of a GGUF file call its matrices; null: as those of the base's file. */
function mainKind({ checkpoint, kind }: MergeRequest, tensors: readonly MergedTensor[]): StorageName | null {
  if (kind !== null || checkpoint.format === "gguf") return kind;
  const inBlocks = tensors.find(({ storage }) => STORAGES[storage].blockSize > 1);
  return inBlocks?.storage ?? GGUF_DEFAULT;
}

/**
 * Merges an adapter into its base and writes the result, whole or not at all, one tensor at a time.
 * @throws UsageError "usage/adapter" when the method's result is not a change of weights or no numbers, "usage/scale" when
 * numbers do not fit the type, "usage/model" for a model that GGUF files cannot hold; FailedError failed/write.
 */
export async function writeMergedModel(request: MergeRequest): Promise<MergeReport> {
  const { engine, base, checkpoint, adapter, path, to, kind, onTensor = () => {} } = request;
  const merger = new Merger(engine, base, adapter);
  const tally = new RoundingTally();
  try {
    const parts = { base, adapter, merger, storageFor: chooserOf(request) };
    const tensors = mergedTensors(parts, tally);
    const numChanged = tensors.filter(({ isChanged }) => isChanged).length;
    let numDone = 0;
    const reporting = tensors.map((tensor): MergedTensor => {
      if (!tensor.isChanged) return tensor;
      const load = async (): Promise<StoredTensor> => {
        const stored = await tensor.load();
        onTensor(++numDone, numChanged);
        return stored;
      };
      return { ...tensor, load };
    });
    if (to !== "gguf") await writeFolder(request, reporting);
    else {
      const model = {
        name: basename(base.name),
        model: base.model,
        checkpoint,
        kind: mainKind(request, tensors),
      };
      await (checkpoint.format === "gguf" ? writeGgufOfGguf : writeGgufOfFolder)(path, model, reporting);
    }
    const substitutes = kind === null && to === checkpoint.format ? listSubstitutes(tensors) : [];
    return { numChanged, substitutes, rounding: tally.report() };
  } finally {
    await merger.release();
  }
}

function listSubstitutes(tensors: readonly MergedTensor[]): Substitute[] {
  const found = new Map<string, Substitute>();
  for (const { own, storage } of tensors.filter((tensor) => tensor.own !== tensor.storage)) {
    const key = `${own} ${storage}`;
    const numTensors = (found.get(key)?.numTensors ?? 0) + 1;
    found.set(key, { from: own, to: storage, numTensors });
  }
  return [...found.values()];
}

/** Writes a model folder, with the tokenizer's files as they are. */
async function writeFolder(request: MergeRequest, tensors: readonly MergedTensor[]): Promise<void> {
  const { path, base, checkpoint, kind } = request;
  const { config, generationConfig, tokenizerFiles } = checkpoint;
  const dtype = kind === null ? null : folderDtype(kind);
  const isUntied = base.model.ties.size > 0 && tensors.some(({ role }) => role === "head");
  const { settings, codes, readBy } = planCodes(request, tensors);
  const floats = tensors.filter(({ groupSize }) => groupSize === null);
  const card = wholeModelCard({
    baseName: base.name,
    task: base.model.task,
    tags: [request.adapter.method.name, "merge"],
    readBy,
    provenance: await describeMaking("graft merge", {
      ...request,
      facts: [["type of the matrices", kind ?? "as in the base"]],
    }),
  });
  const parts = {
    card,
    config: {
      ...base.model.checkpoint.ownConfig(config),
      ...(dtype === null ? {} : { dtype, torch_dtype: dtype }),
      ...(isUntied ? { tie_word_embeddings: false } : {}),
      ...(settings === null ? {} : { quantization_config: settings }),
    },
    generationConfig,
    tokenizerFiles,
    tensors: [
      ...codes,
      ...floats.map(({ name, shape, storage, load }): readonly [string, TensorSource] => [
        name,
        {
          dtype: folderDtype(storage)!,
          shape,
          load: async () => (await load()).planes["data"] as HostTensor,
        },
      ]),
    ],
  };
  await writeModel(path, parts, { isNew: true });
}
