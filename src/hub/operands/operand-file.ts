/**
 * @file A file of tensors that programs bind in place: a line of JSON, followed by the tensors.
 *
 * Each tensor has a checksum, which also covers its name, type and shape. It is checked when the tensor is requested, so that the
 * first tensors are used while others are still being checked.
 */
import * as zlib from "node:zlib";
import { writeFileAtomic } from "../../format/files/atomic.ts";
import { ByteFile } from "../../format/files/byte-file.ts";
import type { Write } from "../../format/files/folder-file.ts";
import { DTYPES, type DataOf, type DType, bytesOf } from "../../graph/dtype.ts";
import { numElements } from "../../graph/shape.ts";
import { type HostTensor, hostTensor } from "../../runtime/host-tensor.ts";

/** Alignment of tensors, for wide reads of processors. */
const ALIGNMENT_BYTES = 64;
const NEW_LINE = 10;

/** The description of a tensor in the first line. */
interface Entry {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Its first byte, counted from that of the first tensor. */
  readonly start: number;
  readonly checksum: number;
}

/** A tensor with the checksum from when it was made. */
export interface SummedTensor {
  readonly tensor: HostTensor;
  readonly checksum: number;
}

function aligned(at: number): number {
  return Math.ceil(at / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
}

/** Whether checksums can be computed: Node has them from 20.15 on. */
export const CAN_SUM = "crc32" in zlib;

/** The checksum of a tensor, its name, type and shape: 20 ms for 100 MB. */
export function checksumOf(name: string, tensor: HostTensor): number {
  return zlib.crc32(bytesOf(tensor.data), zlib.crc32(JSON.stringify([name, tensor.dtype, tensor.shape])));
}

/** Maps the tensors of a file, by name; empty if there is no such file, it is damaged, or files cannot be mapped. */
export async function mapTensors(path: string): Promise<ReadonlyMap<string, SummedTensor>> {
  const tensors = new Map<string, SummedTensor>();
  try {
    const file = await ByteFile.open(path);
    const bytes = file.view(0, file.sizeBytes);
    await file.close();
    if (!bytes) return tensors;
    const end = bytes.indexOf(NEW_LINE);
    const first = bytes.byteOffset + aligned(end + 1);
    for (const entry of JSON.parse(new TextDecoder().decode(bytes.subarray(0, end))) as Entry[]) {
      const { name, dtype, shape, start, checksum } = entry;
      const data = new DTYPES[dtype].array(bytes.buffer, first + start, numElements(shape));
      tensors.set(name, { tensor: hostTensor(dtype, shape, data as DataOf<DType>), checksum });
    }
  } catch {
    // Tensors that were read before the fault have checksums of their own.
  }
  return tensors;
}

/** Writes a file, whole or not at all. @throws FailedError failed/write */
export async function writeTensors(path: string, tensors: ReadonlyMap<string, SummedTensor>): Promise<void> {
  let end = 0;
  const entries = [...tensors].map(([name, { tensor, checksum }]): Entry => {
    const { dtype, shape, data } = tensor;
    const start = end;
    end = aligned(start + data.byteLength);
    return { name, dtype, shape, start, checksum };
  });
  const head = new TextEncoder().encode(`${JSON.stringify(entries)}\n`);
  const fill = async (write: Write): Promise<void> => {
    for (const bytes of [head, ...[...tensors.values()].map(({ tensor }) => bytesOf(tensor.data))]) {
      await write(bytes);
      await write(new Uint8Array(aligned(bytes.length) - bytes.length));
    }
  };
  // No check here: the reader checks each tensor. Only the owner may read the model through it.
  await writeFileAtomic(path, { fill, check: () => Promise.resolve() }, 0o600);
}
