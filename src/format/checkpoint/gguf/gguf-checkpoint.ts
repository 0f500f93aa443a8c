/** @file Opens a GGUF file as a base model: Hugging Face names, tensors as folders have them, config and tokenizer built. */
import { FormatError } from "../../../errors.ts";
import { findGgufFamily, unknownGgufArchitecture } from "../../../models/families.ts";
import type { GgufChange, GgufPart, GgufRules, GgufTensorChange } from "../../../models/config/gguf-rules.ts";
import { hasRank, numElements } from "../../../graph/shape.ts";
import type { Planes } from "../../../quant/planes.ts";
import { storedBytes } from "../../../quant/storage.ts";
import { STORAGES } from "../../../quant/storages.ts";
import { dequantizeFrom, type StoredTensor } from "../../../quant/stored-tensor.ts";
import type { Checkpoint, TensorInfo } from "../checkpoint.ts";
import type { ByteSource } from "../../files/byte-source.ts";
import { type GgufFile, type GgufTensor, openGguf } from "../../files/gguf/gguf.ts";
import { damagedGguf } from "../../files/gguf/header-walk.ts";
import { PIECE_ELEMENTS } from "../../files/gguf/gguf-values.ts";
import { requireTensor } from "../../files/require-tensor.ts";
import { partOf } from "../../files/tensor-part.ts";
import { MAX_EXPERTS } from "../../../untrusted/limits.ts";
import { TENSOR_CHANGES } from "./gguf-changes.ts";
import { withHeldTensors } from "../held-tensors.ts";
import type { Form } from "../halves.ts";
import type { NumHeads } from "./gguf-row-orders.ts";
import { makeConfig, makeGenerationConfig, headsOf, numOwnBlocks } from "./gguf-config.ts";
import { isOfHeads, isPart, isStacked, translateName } from "./gguf-names.ts";
import { PAIRINGS, type Pairing } from "./gguf-pairings.ts";
import { ROPE_TENSORS } from "./gguf-rope.ts";
import { withTensorsApart } from "./joined-tensors.ts";
import { tensorsOfSettings } from "./gguf-setting-tensors.ts";
import { makeTokenizerFiles } from "./gguf-tokenizer.ts";

/** Where a tensor comes from. */
interface TensorOrigin {
  readonly tensor: GgufTensor;
  /** The tensor with the second part of its rows; null: `tensor` has all rows. */
  readonly second: { readonly tensor: GgufTensor; readonly pairing: Pairing } | null;
  readonly change: GgufTensorChange | null;
}

/** Locates the parts of a stack in the file, `numCuts` for each expert. */
function unstack(path: string, tensor: GgufTensor, numCuts: number): GgufTensor[] {
  const [numParts = 1, numRows = 0] = tensor.shape;
  if (numParts > MAX_EXPERTS) {
    throw damagedGguf(path, `tensor "${tensor.name}" of ${numParts} parts`, `at most ${MAX_EXPERTS}`);
  }
  if (numRows % numCuts !== 0) {
    throw damagedGguf(path, `tensor "${tensor.name}" with matrices of ${numRows} rows`, "an even number");
  }
  return Array.from({ length: numCuts * numParts }, (_, i) => partOf(tensor, i, numCuts));
}

/**
 * Finds the tensors of the model.
 * @throws FormatError "format/tensor" for one that the family does not have, "format/file" for half of one
 */
function listSources(file: GgufFile, rules: GgufRules, numBlocks: number): ReadonlyMap<string, TensorOrigin> {
  const sources = new Map<string, TensorOrigin>();
  const parts = new Map<GgufPart, Map<string, GgufTensor>>(
    PAIRINGS.flatMap(({ first, second }) => [first, second]).map((part) => [part, new Map()]),
  );
  for (const tensor of file.tensors.values()) {
    const block = Number(/^blk\.(\d+)\./.exec(tensor.name)?.[1] ?? 0);
    if (ROPE_TENSORS.has(tensor.name) || block >= numBlocks) continue;
    const found = translateName(rules, tensor.name);
    if (found === null || !hasFitting(found.change, tensor)) {
      throw new FormatError(
        "format/tensor",
        `Cannot open model "${file.path}": tensor "${tensor.name}" [${tensor.shape.join(", ")}], expected only tensors of ${rules.architecture}`,
        { hint: "The file contains a variant of the model that graft does not support: use another file." },
      );
    }
    const change = isAsInFolders(found.change, tensor) ? null : found.change;
    const ownParts = isStacked(change) ? unstack(file.path, tensor, found.numCuts) : [tensor];
    for (const [i, part] of ownParts.entries()) {
      const name = found.hfName(i);
      if (isPart(change)) parts.get(change)!.set(name, part);
      else sources.set(name, { tensor: part, second: null, change: change === "stacked" ? null : change });
    }
  }
  for (const pairing of PAIRINGS) {
    const [firsts, seconds] = [parts.get(pairing.first)!, parts.get(pairing.second)!];
    for (const [name, tensor] of new Map([...seconds, ...firsts])) {
      const other = seconds.get(name);
      if (!firsts.has(name) || !other) {
        throw damagedGguf(file.path, `tensor "${tensor.name}" without the other half of its rows`, "both");
      }
      sources.set(name, { tensor, second: { tensor: other, pairing }, change: null });
    }
  }
  return sources;
}

/** Whether a tensor is unchanged: newer converters keep a matrix of one row, and llama.cpp's quantizer makes it a vector. */
function isAsInFolders(change: GgufChange | null, { shape }: GgufTensor): boolean {
  return (change === "row" && shape.length === 2) || (change === "as-row" && shape.length === 1);
}

/** Whether a tensor has a number of axes that the change results in. */
function hasFitting(change: GgufChange | null, { shape }: GgufTensor): boolean {
  if (isOfHeads(change)) return shape.length === 3;
  return isStacked(change) ? shape.length === 2 || shape.length === 3 : shape.length < 3;
}

/** The shape and storage of a tensor together with its second part. */
function wholeForm({ tensor, second }: TensorOrigin): Form {
  return second === null ? tensor : second.pairing.formOf(tensor, second.tensor);
}

function describe(name: string, origin: TensorOrigin, heads: NumHeads): TensorInfo {
  const { change } = origin;
  const whole = wholeForm(origin);
  const { shape, storage } = change === null ? whole : TENSOR_CHANGES[change].turn(whole, heads);
  return { name, shape, storage, sizeBytes: storedBytes(STORAGES[storage], shape) };
}

function licenseOf({ metadata }: GgufFile): string | null {
  const license = metadata["general.license"];
  return typeof license === "string" && license !== "" ? license : null;
}

async function toCheckpoint(given: GgufFile): Promise<Checkpoint> {
  const family = findGgufFamily(given.path, String(given.metadata["general.architecture"]), given.metadata);
  const file = withTensorsApart(given, family.gguf);
  const sources = listSources(file, family.gguf, numOwnBlocks(file, family.gguf));
  const config = await makeConfig(file, family);
  const heads = headsOf(config, family.gguf);
  const inSettings = tensorsOfSettings(file, family.gguf, Number(config["num_hidden_layers"]));
  const checkpoint: Checkpoint = {
    path: file.path,
    format: "gguf",
    config,
    generationConfig: makeGenerationConfig(file, config),
    tensors: new Map(
      [...sources].map(([name, source]) => [name, undone(file, name, () => describe(name, source, heads))]),
    ),
    tokenizerFiles: makeTokenizerFiles(file, family.gguf.takesSpacesAfter),
    unusedTokenizerFiles: null,
    license: licenseOf(file),
    ...readersOf(file, sources, heads),
    view: () => null,
    heldBytes: 0,
    close: () => file.close(),
  };
  return inSettings.size === 0 ? checkpoint : withHeldTensors(checkpoint, inSettings);
}

/** Makes the functions that read tensors as folders have them: changes of the file are undone. */
function readersOf(
  file: GgufFile,
  sources: ReadonlyMap<string, TensorOrigin>,
  heads: NumHeads,
): Pick<Checkpoint, "read" | "readInto"> {
  const find = (name: string): TensorOrigin => requireTensor(sources, name, file.path);
  const read = async (name: string, memory?: Planes): Promise<StoredTensor> => {
    const { tensor, second, change } = find(name);
    if (second !== null) {
      const [first, other] = [await file.read(tensor), await file.read(second.tensor)];
      return second.pairing.join(first, other);
    }
    if (change === null) return await file.read(tensor, memory);
    const stored = await file.read(tensor);
    return undone(file, name, () => TENSOR_CHANGES[change].undo(stored, heads));
  };
  return {
    read,
    async readInto(name, into, start = 0) {
      const { tensor, second, change } = find(name);
      if (second !== null) {
        const { readInto } = second.pairing;
        if (readInto === null) return dequantizeFrom(await read(name), start, into);
        const halves = [tensor, second.tensor] as const;
        return await readInto({ shape: tensor.shape, start }, into, (half, from, part) =>
          file.readInto(halves[half], from, part),
        );
      }
      if (change === null) return await file.readInto(tensor, start, into);
      const { placeRows } = TENSOR_CHANGES[change];
      const { shape } = tensor;
      if (placeRows === null || !hasRank(shape, 2) || into.length !== numElements(shape)) {
        return dequantizeFrom(await read(name), start, into);
      }
      const rowsAtOnce = Math.max(1, Math.floor(PIECE_ELEMENTS / shape[1]));
      const memory = new Float32Array(Math.min(rowsAtOnce, shape[0]) * shape[1]);
      for (let first = 0; first < shape[0]; first += rowsAtOnce) {
        const data = memory.subarray(0, Math.min(rowsAtOnce, shape[0] - first) * shape[1]);
        await file.readInto(tensor, first * shape[1], data);
        undone(file, name, () => placeRows({ data, first, shape }, heads, into));
      }
    },
  };
}

/** Undoes a change. @throws FormatError "format/tensor" when the tensor cannot have been changed in this way */
function undone<T>({ path }: GgufFile, name: string, undo: () => T): T {
  try {
    return undo();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new FormatError("format/tensor", `Cannot read tensor "${name}" of "${path}": ${error.message}`, {
      hint: "The settings of the file do not match its tensors: convert the model to GGUF again.",
      cause: error,
    });
  }
}

/** Opens a GGUF file as a base model, which owns the file; a failure closes it. @throws FormatError, UsageError usage/model */
export async function openGgufCheckpoint(source: ByteSource): Promise<Checkpoint> {
  const file = await openGguf(source, (metadata) =>
    unknownGgufArchitecture(String(metadata["general.architecture"])),
  );
  try {
    return await toCheckpoint(file);
  } catch (error) {
    await file.close();
    throw error;
  }
}
