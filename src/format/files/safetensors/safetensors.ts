/**
 * @file Safetensors files: opened by their header, read tensor by tensor, written tensor by tensor.
 *
 * Format: 8 bytes little-endian length of the JSON header, the header, then the data without gaps. A model of
 * several files has `model.safetensors.index.json`, which maps each tensor to its file.
 */
import { z } from "zod";
import { FormatError } from "../../../errors.ts";
import { DTYPES, type DataOf, type DType, type TensorData } from "../../../graph/dtype.ts";
import { widenBfloat16, widenFloat16 } from "../../../quant/codes/half.ts";
import type { HostTensor } from "../../../runtime/host-tensor.ts";
import { numElements, sameShape, showShape } from "../../../graph/shape.ts";
import type { ByteSource } from "../byte-source.ts";
import { type FolderFile, unlikeWritten, type Write } from "../folder-file.ts";
import { type Folder, pathIn, readJson } from "../folder.ts";
import { readSafetensorsHeader, type TensorRange } from "./safetensors-header.ts";

/** An open safetensors file, or a set of files with an index. Whoever opened it closes it. */
export interface Safetensors {
  readonly path: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: ReadonlyMap<string, TensorRange>;
  /** Reads one tensor; the caller owns it. @throws FormatError format/tensor, format/file */
  read(name: string): Promise<HostTensor>;
  /** Writes values of a float tensor from element `start` on, as many as there is room for. @throws as `read` */
  readInto(name: string, into: Float32Array, start?: number): Promise<void>;
  /** Views a float32 tensor without reading it, also after `close`; null for others and where files cannot be mapped. */
  view(name: string): HostTensor<"float32"> | null;
  close(): Promise<void>;
}

async function readRange(file: ByteSource, range: TensorRange): Promise<HostTensor> {
  const { name, dtype, fileDtype, shape, offset, sizeBytes } = range;
  if (dtype === null) {
    throw new FormatError(
      "format/tensor",
      `Cannot read tensor "${name}" of "${file.path}": ${fileDtype}, expected F32, F16, BF16 or an integer type`,
      { hint: "Save the model again as float32 or bfloat16." },
    );
  }
  const bytes = await file.read(offset, sizeBytes);
  const data = new DTYPES[dtype].array(bytes.buffer, 0, numElements(shape));
  return { dtype, shape, data: data as DataOf<DType> };
}

/** Reads 16-bit floats into the rear half of their float32 memory and widens them from the front: no second buffer. */
async function readRangeInto(
  file: ByteSource,
  range: TensorRange,
  into: Float32Array,
  start: number,
): Promise<void> {
  const { dtype } = range;
  const elementBytes = range.sizeBytes / numElements(range.shape);
  const sizeBytes = into.length * elementBytes;
  const bytes = new Uint8Array(into.buffer, into.byteOffset + into.byteLength - sizeBytes, sizeBytes);
  await file.readInto(range.offset + start * elementBytes, bytes);
  if (dtype === "float32") return;
  const bits = new Uint16Array(bytes.buffer, bytes.byteOffset, into.length);
  if (dtype === "bfloat16") widenBfloat16(bits, into);
  else if (dtype === "float16") widenFloat16(bits, into);
  else throw new TypeError(`Cannot widen tensor "${range.name}": ${range.fileDtype}, expected a float type`);
}

function viewRange(
  file: ByteSource,
  { dtype, shape, offset, sizeBytes }: TensorRange,
): HostTensor<"float32"> | null {
  // A writer that does not round the header up leaves numbers at places where they cannot be viewed.
  if (dtype !== "float32" || offset % DTYPES[dtype].sizeBytes !== 0) return null;
  const bytes = file.view(offset, sizeBytes);
  if (bytes === null) return null;
  return { dtype, shape, data: new Float32Array(bytes.buffer, bytes.byteOffset, numElements(shape)) };
}

function missingTensor(path: string, name: string): FormatError {
  return new FormatError(
    "format/tensor",
    `Cannot read tensor "${name}" of "${path}": not in the file, expected one of its tensors`,
    { hint: "The file belongs to another model, or is incomplete." },
  );
}

/** Reads the header of a file, which is closed with what is returned, or at once when it is damaged. @throws FormatError format/file, format/json */
export async function openSafetensors(file: ByteSource): Promise<Safetensors> {
  const { path } = file;
  try {
    const { metadata, tensors } = await readSafetensorsHeader(file);
    return {
      path,
      metadata,
      tensors,
      async read(name) {
        const range = tensors.get(name);
        if (range === undefined) throw missingTensor(path, name);
        return await readRange(file, range);
      },
      async readInto(name, into, start = 0) {
        const range = tensors.get(name);
        if (range === undefined) throw missingTensor(path, name);
        await readRangeInto(file, range, into, start);
      },
      view(name) {
        const range = tensors.get(name);
        if (range === undefined) throw missingTensor(path, name);
        return viewRange(file, range);
      },
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

const indexSchema = z.object({ weight_map: z.record(z.string(), z.string()) });

/** Opens the files of a folder that an index of it lists. @throws FormatError format/file, format/json, format/tensor */
export async function openSafetensorsIndex(folder: Folder, indexName: string): Promise<Safetensors> {
  const indexPath = pathIn(folder, indexName);
  const parsed = indexSchema.safeParse(await readJson(folder, indexName));
  if (!parsed.success) {
    throw new FormatError(
      "format/file",
      `Cannot read index "${indexPath}": no weight_map, expected names of tensors and their files`,
      { hint: "Download the index file again." },
    );
  }
  const fileOf = new Map(Object.entries(parsed.data.weight_map));
  const shards = new Map<string, Safetensors>();
  const closeAll = async (): Promise<void> => {
    for (const shard of shards.values()) await shard.close();
  };
  try {
    for (const name of new Set(fileOf.values())) {
      if (/[/\\]/.test(name)) {
        throw new FormatError(
          "format/file",
          `Cannot read index "${indexPath}": file name "${name}", expected a file of the same folder`,
          { hint: "Download the index file again." },
        );
      }
      shards.set(name, await openSafetensors(await folder.open(name)));
    }
    const tensors = new Map<string, TensorRange>();
    for (const [name, fileName] of fileOf) {
      const range = shards.get(fileName)?.tensors.get(name);
      if (range === undefined) throw missingTensor(pathIn(folder, fileName), name);
      tensors.set(name, range);
    }
    return {
      path: indexPath,
      metadata: {},
      tensors,
      async read(name) {
        const shard = shards.get(fileOf.get(name) ?? "");
        if (shard === undefined) throw missingTensor(indexPath, name);
        return await shard.read(name);
      },
      async readInto(name, into, start) {
        const shard = shards.get(fileOf.get(name) ?? "");
        if (shard === undefined) throw missingTensor(indexPath, name);
        await shard.readInto(name, into, start);
      },
      view(name) {
        const shard = shards.get(fileOf.get(name) ?? "");
        if (shard === undefined) throw missingTensor(indexPath, name);
        return shard.view(name);
      },
      close: closeAll,
    };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

/** A tensor to write whose data is made only when its turn comes. */
export interface LazyTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  load(): HostTensor | Promise<HostTensor>;
}

/** A tensor to write that hands over its data itself, a piece after the other. */
export interface StreamedTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  stream(write: (piece: TensorData) => Promise<void>): Promise<void>;
}

/** A tensor to write: one in memory, or one that is made when its turn comes, whole or in pieces. */
export type TensorSource = HostTensor | LazyTensor | StreamedTensor;

const FILE_DTYPES: Readonly<Record<DType, string>> = {
  float32: "F32",
  float16: "F16",
  bfloat16: "BF16",
  int64: "I64",
  int32: "I32",
  uint8: "U8",
  int8: "I8",
  bool: "BOOL",
};

/** Plans a safetensors file of a folder; data is asked for one tensor at a time, in the order of the file. */
export function safetensorsFile(
  name: string,
  tensors: Iterable<readonly [string, TensorSource]>,
  metadata: Readonly<Record<string, string>> = { format: "pt" },
): FolderFile {
  // The reference writer's order: wide types first, so that all stay aligned, then by name.
  const entries = [...tensors].toSorted(
    ([a, { dtype: A }], [b, { dtype: B }]) =>
      DTYPES[B].sizeBytes - DTYPES[A].sizeBytes || (A === B ? 0 : A < B ? -1 : 1) || (a < b ? -1 : 1),
  );
  return {
    name,
    async fill(write: Write) {
      // Without a prototype: a tensor may be called "__proto__".
      const header = Object.create(null) as Record<string, unknown>;
      header["__metadata__"] = metadata;
      let end = 0;
      for (const [key, { dtype, shape }] of entries) {
        const start = end;
        end += numElements(shape) * DTYPES[dtype].sizeBytes;
        header[key] = { dtype: FILE_DTYPES[dtype], shape, data_offsets: [start, end] };
      }
      const json = new TextEncoder().encode(JSON.stringify(header));
      const headerBytes = Math.ceil(json.length / 8) * 8;
      const head = new Uint8Array(8 + headerBytes).fill(0x20);
      new DataView(head.buffer).setBigUint64(0, BigInt(headerBytes), true);
      head.set(json, 8);
      await write(head);
      for (const [key, source] of entries) {
        let numWritten = 0;
        const put = async (data: TensorData): Promise<void> => {
          numWritten += data.length;
          await write(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
        };
        let { dtype } = source;
        if ("stream" in source) await source.stream(put);
        else {
          const tensor = "load" in source ? await source.load() : source;
          ({ dtype } = tensor);
          await put(tensor.data);
        }
        if (dtype === source.dtype && numWritten === numElements(source.shape)) continue;
        throw new RangeError(
          `Cannot write tensor "${key}": ${numWritten} of ${dtype}, expected ${source.dtype} ${showShape(source.shape)}`,
        );
      }
    },
    async check(file) {
      const { tensors: found } = await readSafetensorsHeader(file);
      const isThere = entries.every(([key, { dtype, shape }]) => {
        const range = found.get(key);
        return range?.dtype === dtype && sameShape(range.shape, shape);
      });
      if (!isThere || found.size !== entries.length) throw unlikeWritten(file.path, "other tensors");
    },
  };
}
