/**
 * @file Writes safetensors files, tensor by tensor.
 *
 * Format: 8 bytes little-endian length of the JSON header, the header, then the data without gaps.
 */
import { DTYPES, type DType, type TensorData, bytesOf } from "../../../graph/dtype.ts";
import { numElements, sameShape, showShape } from "../../../graph/shape.ts";
import type { HostTensor } from "../../../runtime/host-tensor.ts";
import { type FolderFile, unlikeWritten, type Write } from "../folder-file.ts";
import { FILE_DTYPES, readSafetensorsHeader } from "./safetensors-header.ts";

/** A tensor to write whose data is made only when it is written. */
export interface LazyTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  load(): HostTensor | Promise<HostTensor>;
}

/** A tensor to write that produces its data piece by piece. */
export interface StreamedTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  stream(write: (piece: TensorData) => Promise<void>): Promise<void>;
}

/** A tensor to write: one in memory, or one that is made when it is written, whole or in pieces. */
export type TensorSource = HostTensor | LazyTensor | StreamedTensor;

/** Plans a safetensors file of a folder; data is loaded one tensor at a time, in the order of the file. */
export function safetensorsFile(
  name: string,
  tensors: Iterable<readonly [string, TensorSource]>,
  metadata: Readonly<Record<string, string>> = { format: "pt" },
): FolderFile {
  // The reference writer's order: wide types first, so that all tensors are aligned, then by name.
  const entries = [...tensors].toSorted(
    ([a, { dtype: A }], [b, { dtype: B }]) =>
      DTYPES[B].sizeBytes - DTYPES[A].sizeBytes || (A === B ? 0 : A < B ? -1 : 1) || (a < b ? -1 : 1),
  );
  return {
    name,
    async fill(write) {
      await write(headerOf(entries, metadata));
      for (const entry of entries) await writeTensor(entry, write);
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

/** Returns the bytes before the data: the length of the header, and the header. */
function headerOf(
  entries: readonly (readonly [string, TensorSource])[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  // No prototype, since a tensor may be called "__proto__".
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
  return head;
}

/** @throws RangeError when the data has another type or length than planned */
async function writeTensor([key, source]: readonly [string, TensorSource], write: Write): Promise<void> {
  let numWritten = 0;
  const put = async (data: TensorData): Promise<void> => {
    numWritten += data.length;
    await write(bytesOf(data));
  };
  let { dtype } = source;
  if ("stream" in source) await source.stream(put);
  else {
    const tensor = "load" in source ? await source.load() : source;
    ({ dtype } = tensor);
    await put(tensor.data);
  }
  if (dtype === source.dtype && numWritten === numElements(source.shape)) return;
  throw new RangeError(
    `Cannot write tensor "${key}": ${numWritten} of ${dtype}, expected ${source.dtype} ${showShape(source.shape)}`,
  );
}
