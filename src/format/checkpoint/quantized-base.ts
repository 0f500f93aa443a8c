/**
 * @file A base of floats whose matrices are rounded to few bits when they are first used, some rows at a time, and kept that way.
 *
 * This applies to the matrices of the blocks, the embedding and the output head; the last two are rounded to 8 bits, since their
 * errors affect every token. Norms, biases and heads of classes are not rounded; nor are routers, where a small error may choose
 * other experts, and matrices whose rows are not a multiple of a block of the storage.
 */
import { UsageError } from "../../errors.ts";
import { numElements } from "../../graph/shape.ts";
import { openModel } from "../../models/families.ts";
import type { Model } from "../../models/model.ts";
import { moduleOf } from "../../models/module-path.ts";
import type { ModelTensor } from "../../models/graphs/sites.ts";
import { storedBytes } from "../../quant/storage.ts";
import { type StorageName, STORAGES } from "../../quant/storages.ts";
import {
  dequantizeFrom,
  quantizeTo,
  roomForRows,
  setRows,
  type StoredTensor,
} from "../../quant/stored-tensor.ts";
import type { Checkpoint, TensorInfo } from "./checkpoint.ts";
import { madeOnce } from "../../runtime/made-once.ts";

/** Storage of embedding and output head. */
const TABLE_KIND: StorageName = "q8_0";
/** Elements that are held in float32 at a time. */
const PIECE_ELEMENTS = 1 << 18;

/**
 * Rounds the matrices of a checkpoint; without `kind` it is returned unchanged. Closing the result closes `checkpoint`.
 * @throws UsageError "usage/quantization" for a base that is in few bits already, or has no matrix that fits the storage
 */
export function withQuantizedBase(checkpoint: Checkpoint, kind: StorageName | undefined): Checkpoint {
  if (kind === undefined) return checkpoint;
  const kinds = kindsOf(checkpoint, openModel(checkpoint.config), kind);
  const held = new Map<string, Promise<StoredTensor>>();
  const rounded = (name: string, to: StorageName): Promise<StoredTensor> =>
    madeOnce(held, name, () => roundRows(checkpoint, name, to));
  const infos = [...checkpoint.tensors].map(([name, info]): [string, TensorInfo] => {
    const to = kinds.get(name);
    return [name, to ? { ...info, storage: to, sizeBytes: storedBytes(STORAGES[to], info.shape) } : info];
  });
  return {
    ...checkpoint,
    tensors: new Map(infos),
    roundedTo: kind,
    // Kept operands were made from matrices that were not rounded.
    operands: undefined,
    heldBytes: infos.reduce((sum, [name, { sizeBytes }]) => sum + (kinds.has(name) ? sizeBytes : 0), 0),
    async read(name) {
      const to = kinds.get(name);
      return await (to ? rounded(name, to) : checkpoint.read(name));
    },
    async readInto(name, into, start = 0) {
      const to = kinds.get(name);
      if (to) dequantizeFrom(await rounded(name, to), start, into);
      else await checkpoint.readInto(name, into, start);
    },
    view: (name) => (kinds.has(name) ? null : checkpoint.view(name)),
  };
}

/** The storages to which tensors are rounded, by their names in the files. */
function kindsOf(checkpoint: Checkpoint, model: Model, kind: StorageName): ReadonlyMap<string, StorageName> {
  const kinds = new Map<string, StorageName>();
  for (const { fileName, info, wanted } of wantedKinds(checkpoint, model, kind)) {
    const { storage, shape } = info;
    if (STORAGES[storage].blockSize > 1) {
      throw new UsageError(
        "usage/quantization",
        `Cannot quantize base "${checkpoint.path}" to ${kind}: "${fileName}" is ${storage} already, expected floats`,
        { hint: "Leave --base out: the model is used as it is quantized." },
      );
    }
    if (shape[1]! % STORAGES[wanted].blockSize === 0) kinds.set(fileName, wanted);
  }
  if (kinds.size > 0) return kinds;
  throw new UsageError(
    "usage/quantization",
    `Cannot quantize base "${checkpoint.path}" to ${kind}: no matrix has rows of a multiple of ${STORAGES[kind].blockSize}, expected at least one`,
    { hint: "Leave --base out, or choose a type with smaller blocks (docs/storage.md)." },
  );
}

/** Whether the matrices to be rounded are all floats, and the rows of at least one fill blocks of the storage. */
export function canRoundBase(checkpoint: Checkpoint, kind: StorageName): boolean {
  const all = wantedKinds(checkpoint, openModel(checkpoint.config), kind);
  return (
    all.every(({ info }) => STORAGES[info.storage].blockSize === 1) &&
    all.some(({ info, wanted }) => info.shape[1]! % STORAGES[wanted].blockSize === 0)
  );
}

/** Matrices that should be rounded, and their new storages; not checked against their present ones. */
function wantedKinds(
  checkpoint: Checkpoint,
  model: Model,
  kind: StorageName,
): { fileName: string; info: TensorInfo; wanted: StorageName }[] {
  return [...checkpoint.tensors].flatMap(([fileName, info]) => {
    const spec = model.tensors.get(model.storedName(model.checkpoint.rename(fileName)));
    const wanted = spec && info.shape.length === 2 ? kindOf(spec, model, kind) : null;
    return wanted === null ? [] : [{ fileName, info, wanted }];
  });
}

/** The storage to which a tensor should be rounded; null: it is not rounded. */
function kindOf({ name, role, layer }: ModelTensor, model: Model, kind: StorageName): StorageName | null {
  const site = model.siteOf(moduleOf(name));
  if (role === "weight" && layer !== null) return site?.role === "router" ? null : kind;
  const isTable = role === "embedding" || (role === "head" && model.hasVocabularyHead);
  return isTable && site ? TABLE_KIND : null;
}

async function roundRows(checkpoint: Checkpoint, name: string, to: StorageName): Promise<StoredTensor> {
  const [numRows = 0, numColumns = 0] = checkpoint.tensors.get(name)?.shape ?? [];
  const rowsAtOnce = Math.max(1, Math.floor(PIECE_ELEMENTS / numColumns));
  let whole: StoredTensor | null = null;
  const memory = new Float32Array(Math.min(rowsAtOnce, numRows) * numColumns);
  for (let first = 0; first < numRows; first += rowsAtOnce) {
    const shape = [Math.min(rowsAtOnce, numRows - first), numColumns];
    const values = memory.subarray(0, numElements(shape));
    await checkpoint.readInto(name, values, first * numColumns);
    const rows = quantizeTo(to, values, shape);
    // Each piece is copied at once: kept pieces would take the memory of a second model.
    whole ??= roomForRows(rows, numRows);
    setRows(whole, rows, first);
  }
  return whole!;
}
