/** @file Safetensors files: opened by their header, read tensor by tensor. */
import { FormatError } from "../../../errors.ts";
import { DTYPES, type DataOf, type DType } from "../../../graph/dtype.ts";
import { widenBfloat16, widenFloat16 } from "../../../quant/codes/half.ts";
import type { HostTensor } from "../../../runtime/host-tensor.ts";
import { numElements } from "../../../graph/shape.ts";
import type { ByteSource } from "../byte-source.ts";
import { requireTensor } from "../require-tensor.ts";
import { type TensorPart, partOf } from "../tensor-part.ts";
import { readSafetensorsHeader, type TensorRange } from "./safetensors-header.ts";

/** An open safetensors file, or a set of files with an index. Whoever opened it closes it. */
export interface Safetensors {
  readonly path: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: ReadonlyMap<string, TensorRange>;
  /** Reads one tensor, or one part of it; the caller owns it. @throws FormatError format/tensor, format/file */
  read(name: string, part?: TensorPart): Promise<HostTensor>;
  /** Fills `into` with values of a float tensor, from element `start` on. @throws as `read` */
  readInto(name: string, into: Float32Array, start?: number): Promise<void>;
  /** Views a float32 tensor without reading it, valid also after `close`; null for other types and where files cannot be mapped. */
  view(name: string): HostTensor<"float32"> | null;
  close(): Promise<void>;
}

async function readRange(file: ByteSource, range: TensorRange, part?: TensorPart): Promise<HostTensor> {
  const { name, dtype, fileDtype, shape, offset, sizeBytes } = part
    ? partOf(range, part.index, part.numCuts)
    : range;
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

/** Reads 16-bit floats into the rear half of their float32 memory and widens them from the front, without a second buffer. */
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
  // If a writer does not pad the header, numbers may lie at offsets at which they cannot be viewed.
  if (dtype !== "float32" || offset % DTYPES[dtype].sizeBytes !== 0) return null;
  const bytes = file.view(offset, sizeBytes);
  if (bytes === null) return null;
  return { dtype, shape, data: new Float32Array(bytes.buffer, bytes.byteOffset, numElements(shape)) };
}

/**
 * Reads the header of a file. The result owns the file; on failure it is closed at once.
 * @throws FormatError format/file, format/json
 */
export async function openSafetensors(file: ByteSource): Promise<Safetensors> {
  const { path } = file;
  try {
    const { metadata, tensors } = await readSafetensorsHeader(file);
    const rangeOf = (name: string): TensorRange => requireTensor(tensors, name, path);
    return {
      path,
      metadata,
      tensors,
      read: async (name, part) => await readRange(file, rangeOf(name), part),
      readInto: async (name, into, start = 0) => await readRangeInto(file, rangeOf(name), into, start),
      view: (name) => viewRange(file, rangeOf(name)),
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}
