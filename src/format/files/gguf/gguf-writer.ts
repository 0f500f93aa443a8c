/**
 * @file Writes GGUF files, tensor by tensor: a whole file from settings and tensors, or a copy of a file in which some tensors
 * have other values.
 *
 * Layout (version 3, little-endian): "GGUF", version, number of tensors, number of settings, the settings, one entry per
 * tensor (name, axes with the columns first, type, offset), then the data; each tensor begins at a multiple of the
 * alignment.
 */
import { joinBytes } from "../../../graph/dtype.ts";
import { sameShape, showShape } from "../../../graph/shape.ts";
import { storedBytes } from "../../../quant/storage.ts";
import { STORAGES, type StorageName } from "../../../quant/storages.ts";
import { type StoredTensor, packStored } from "../../../quant/stored-tensor.ts";
import type { Write } from "../folder-file.ts";
import type { GgufFile, GgufSettings } from "./gguf.ts";
import { text, uint32, uint64 } from "./gguf-setting-bytes.ts";

const MAGIC = new TextEncoder().encode("GGUF");
const VERSION = 3;
/** Bytes that are copied at a time. */
const COPY_BYTES = 1 << 24;

/** A tensor's entry in the header; `shape` has the rows first. */
export interface GgufEntry {
  readonly name: string;
  readonly shape: readonly number[];
  readonly ggmlType: number;
  readonly sizeBytes: number;
}

/** Bytes from the end of a part to the next multiple of the alignment. */
const paddingAfter = (numBytes: number, alignment: number): number =>
  (alignment - (numBytes % alignment)) % alignment;

/** Builds everything before the data of the first tensor, padding included. Tensors follow each other in this order. */
export function ggufHeader(settings: GgufSettings, tensors: readonly GgufEntry[]): Uint8Array {
  const { count, bytes, alignment } = settings;
  const start = [MAGIC, uint32(VERSION), uint64(tensors.length), uint64(count), bytes];
  let offset = 0;
  const entries = tensors.flatMap(({ name, shape, ggmlType, sizeBytes }) => {
    const place = uint64(offset);
    offset += sizeBytes + paddingAfter(sizeBytes, alignment);
    const axes = shape.toReversed().map(uint64);
    return [...text(name), uint32(axes.length), ...axes, uint32(ggmlType), place];
  });
  const header = joinBytes([...start, ...entries]);
  return joinBytes([header, new Uint8Array(paddingAfter(header.length, alignment))]);
}

/** Makes the values of a tensor when it is written. */
export type LoadStored = () => StoredTensor | Promise<StoredTensor>;

/** A tensor to write, with its rows in the order of the file. `shape` has the rows first. */
export interface GgufSource {
  readonly name: string;
  readonly shape: readonly number[];
  readonly storage: StorageName;
  readonly load: LoadStored;
}

async function loadBytes({ name, shape, storage, load }: GgufSource): Promise<Uint8Array> {
  const stored = await load();
  if (stored.storage === storage && sameShape(stored.shape, shape)) return packStored(stored);
  throw new RangeError(
    `Cannot write tensor "${name}": ${stored.storage} ${showShape(stored.shape)}, expected ${storage} ${showShape(shape)}`,
  );
}

/**
 * Writes a GGUF file; tensors are loaded one at a time, in order.
 * @throws RangeError when a loaded tensor has another storage or shape than announced; errors of loading and writing pass unchanged.
 */
export async function fillGguf(
  write: Write,
  settings: GgufSettings,
  tensors: readonly GgufSource[],
): Promise<void> {
  const entries = tensors.map(({ name, shape, storage }) => {
    const kind = STORAGES[storage];
    return { name, shape, ggmlType: kind.ggmlTypes[0]!, sizeBytes: storedBytes(kind, shape) };
  });
  await write(ggufHeader(settings, entries));
  for (const tensor of tensors) {
    const bytes = await loadBytes(tensor);
    await write(bytes);
    await write(new Uint8Array(paddingAfter(bytes.length, settings.alignment)));
  }
}

async function copy(from: GgufFile["source"], start: number, end: number, write: Write): Promise<void> {
  for (let at = start; at < end; at += COPY_BYTES) {
    await write(await from.read(at, Math.min(COPY_BYTES, end - at)));
  }
}

/**
 * Writes a copy of a GGUF file in which some tensors, given by their names in the file, have other values of the same shape and
 * storage, with rows in the order of the file; every other byte is equal. Tensors are loaded one at a time.
 * @throws RangeError when a tensor has another storage or shape than the one that it replaces.
 */
export async function fillPatchedGguf(
  write: Write,
  file: GgufFile,
  replaced: ReadonlyMap<string, LoadStored>,
): Promise<void> {
  for (const name of replaced.keys()) {
    if (!file.tensors.has(name)) {
      throw new RangeError(`Cannot replace tensor "${name}": "${file.path}" has no tensor of this name`);
    }
  }
  const inOrder = [...file.tensors.values()].toSorted((a, b) => a.offset - b.offset);
  let at = 0;
  for (const tensor of inOrder) {
    const load = replaced.get(tensor.name);
    if (load === undefined) continue;
    await copy(file.source, at, tensor.offset, write);
    await write(await loadBytes({ ...tensor, load }));
    at = tensor.offset + tensor.sizeBytes;
  }
  await copy(file.source, at, file.source.sizeBytes, write);
}
