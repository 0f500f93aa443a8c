/**
 * @file Storage kinds that store a row in blocks. The fields of a block, in file order, define the conversion between raw bytes
 * and planes.
 *
 * A plane has one field of all blocks of a row in sequence: [rows, blocks · elements of the field].
 */
import { DTYPES, type DataOf, bytesOf } from "../graph/dtype.ts";
import { hostTensor } from "../runtime/host-tensor.ts";
import type { AffineKind } from "./affine/affine.ts";
import { joinNibbles, type Runs, splitNibbles } from "./codes/nibbles.ts";
import { type Planes, plane } from "./planes.ts";
import { rowsAndColumns, type Storage } from "./storage.ts";

/** Elements of a block in the simple kinds. */
export const BLOCK = 32;

/** Elements of a block that consists of groups. */
export const SUPER_BLOCK = 256;

type FieldType = "uint8" | "int8" | "float16";

/** A part of a block that becomes a plane. */
export interface Field {
  readonly plane: string;
  readonly dtype: FieldType;
  /** Elements of the plane for each block. */
  readonly count: number;
  /** Distance between the elements whose two 4-bit codes share a byte in the file; null: the plane has the bytes of the file. */
  readonly distance: number | null;
}

/** A float of 16 bits. */
export function half(name: string): Field {
  return { plane: name, dtype: "float16", count: 1, distance: null };
}

/** Bytes that are kept as in the file. */
export function bytes(name: string, count: number): Field {
  return { plane: name, dtype: "uint8", count, distance: null };
}

export function signedBytes(name: string, count: number): Field {
  return { plane: name, dtype: "int8", count, distance: null };
}

/** Codes of 4 bits, two to a byte; the elements that share a byte in the file are `distance` apart. */
export function nibbles(name: string, numCodes: number, distance: number): Field {
  return { plane: name, dtype: "uint8", count: numCodes / 2, distance };
}

/** Elements of planes by their names. */
type PlaneData = Readonly<Record<string, DataOf<FieldType>>>;

/** What a storage kind defines beside its fields. */
interface BlockKind extends Pick<
  Storage,
  | "name"
  | "ggufFileType"
  | "summary"
  | "blockSize"
  | "isPlanned"
  | "dequantize"
  | "dequantizeRaw"
  | "areScalesNumbers"
> {
  readonly ggmlType: number;
  /** In file order. */
  readonly fields: readonly Field[];
  readonly quantize: "read-only" | ((values: DataOf<"float32">) => PlaneData);
  /** The affine view, or a function that makes it from the kind's own `dequantize`. */
  readonly affine: Storage["affine"] | ((own: Pick<Storage, "blockSize" | "dequantize">) => AffineKind);
}

/** A field with its place in the blocks of a file. */
interface PlacedField extends Field {
  /** Bytes before the field in a block, and its size. */
  readonly start: number;
  readonly numBytes: number;
}

/** Makes a storage kind from the fields of its blocks. */
export function defineBlocks(kind: BlockKind): Storage {
  const { ggmlType, fields, quantize, affine, ...own } = kind;
  const { blockSize, dequantize } = own;
  const { placed, blockBytes } = placeFields(fields);
  const toPlanes = (data: PlaneData, shape: readonly number[]): Planes => {
    const rowBlocks = rowsAndColumns(shape).numColumns / blockSize;
    return Object.fromEntries(
      fields.map((field) => {
        const planeShape = [...shape.slice(0, -1), rowBlocks * field.count];
        return [field.plane, hostTensor(field.dtype, planeShape, data[field.plane]!)];
      }),
    );
  };
  return {
    ...own,
    ggmlTypes: [ggmlType],
    blockBytes,
    unpack(raw, shape, memory) {
      const data = placed.map((field) => [field.plane, unpackField(field, raw, blockBytes, memory)] as const);
      return toPlanes(Object.fromEntries(data), shape);
    },
    pack(planes, shape) {
      const { numRows, numColumns } = rowsAndColumns(shape);
      const raw = new Uint8Array(((numRows * numColumns) / blockSize) * blockBytes);
      for (const field of placed) packField(field, planes, raw, blockBytes);
      return raw;
    },
    quantize: quantize === "read-only" ? quantize : (values, shape) => toPlanes(quantize(values), shape),
    affine: typeof affine === "function" ? affine({ blockSize, dequantize }) : affine,
  };
}

function placeFields(fields: readonly Field[]): { placed: readonly PlacedField[]; blockBytes: number } {
  let blockBytes = 0;
  const placed = fields.map((field) => {
    const start = blockBytes;
    const numBytes = field.count * DTYPES[field.dtype].sizeBytes;
    blockBytes += numBytes;
    return { ...field, start, numBytes };
  });
  return { placed, blockBytes };
}

/** Reads a field of all blocks, into the plane of its name in `memory` if there is one, else into fresh memory. */
function unpackField(
  { plane: name, dtype, count, start, numBytes, distance }: PlacedField,
  raw: Uint8Array,
  blockBytes: number,
  memory: Planes | undefined,
): DataOf<FieldType> {
  const numBlocks = raw.length / blockBytes;
  const numElements = numBlocks * count;
  const elements = (memory?.[name]?.data.subarray(0, numElements) ??
    new DTYPES[dtype].array(numElements)) as DataOf<FieldType>;
  const from = { data: raw, start, stride: blockBytes };
  const to = { data: bytesOf(elements), start: 0, stride: numBytes };
  if (dtype === "float16") readHalves(from, elements as Uint16Array);
  else if (distance === null) copyRuns(from, to, numBlocks, numBytes);
  else joinNibbles(from, to, { numBlocks, numBytes, distance });
  return elements;
}

/** Writes a field into all blocks. */
function packField(
  { plane: name, dtype, start, numBytes, distance }: PlacedField,
  planes: Planes,
  raw: Uint8Array,
  blockBytes: number,
): void {
  const numBlocks = raw.length / blockBytes;
  const from = { data: bytesOf(plane(planes, name, dtype).data), start: 0, stride: numBytes };
  const to = { data: raw, start, stride: blockBytes };
  if (distance === null) copyRuns(from, to, numBlocks, numBytes);
  else splitNibbles(from, to, { numBlocks, numBytes, distance });
}

/** Reads one float16 of each block. */
function readHalves({ data, start, stride }: Runs, into: Uint16Array): void {
  for (let block = 0, at = start; block < into.length; block++, at += stride) {
    into[block] = data[at]! | (data[at + 1]! << 8);
  }
}

/**
 * Copies a run of bytes for each block, two bytes at a time if all offsets are even, as in blocks with 16-bit numbers. A plain
 * loop: `set` of such short views takes several times as long.
 */
function copyRuns(from: Runs, to: Runs, numBlocks: number, numBytes: number): void {
  if ([from.start, from.stride, to.start, to.stride, numBytes].some((place) => place % 2 === 1)) {
    copyBytes(from, to, numBlocks, numBytes);
    return;
  }
  const [source, target] = [viewPairs(from.data), viewPairs(to.data)];
  const length = numBytes / 2;
  for (let block = 0; block < numBlocks; block++) {
    let at = (from.start + block * from.stride) / 2;
    let into = (to.start + block * to.stride) / 2;
    for (const end = at + length; at < end;) target[into++] = source[at++]!;
  }
}

/** `copyRuns`, a byte at a time. */
function copyBytes(from: Runs, to: Runs, numBlocks: number, numBytes: number): void {
  for (let block = 0; block < numBlocks; block++) {
    let at = from.start + block * from.stride;
    let into = to.start + block * to.stride;
    for (const end = at + numBytes; at < end;) to.data[into++] = from.data[at++]!;
  }
}

/** Views bytes in pairs; copies them if they begin at an odd offset, as only bytes of a file do. */
function viewPairs(bytes: Uint8Array): Uint16Array {
  const { buffer, byteOffset, byteLength } = bytes.byteOffset % 2 === 0 ? bytes : bytes.slice();
  return new Uint16Array(buffer, byteOffset, byteLength / 2);
}
