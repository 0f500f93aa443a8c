/**
 * @file Reads tensors of a GGUF file some blocks at a time: as values in float32, or as planes.
 *
 * The raw bytes of a piece lie in memory that is reused, small enough for the caches of a processor.
 */
import { numElements } from "../../../graph/shape.ts";
import type { Planes } from "../../../quant/planes.ts";
import { rowsAndColumns, type Storage } from "../../../quant/storage.ts";
import { STORAGES, type StorageName } from "../../../quant/storages.ts";
import { hasFiniteScales, type StoredTensor, unpackStored } from "../../../quant/stored-tensor.ts";
import { hostTensor, zeros } from "../../../runtime/host-tensor.ts";
import type { ByteSource } from "../byte-source.ts";
import { damagedGguf } from "./header-walk.ts";

/** Elements of a piece: a multiple of the block size of every storage. */
export const PIECE_ELEMENTS = 1 << 18;
/** Elements of a piece of planes, which are written once: most matrices of a small model are one piece. */
const PLANE_PIECE_ELEMENTS = 1 << 20;
/** Pieces below this size, such as rows of an embedding, are checked at every read; that larger ones are fine is remembered. */
const REMEMBERED_ELEMENTS = 4096;

/** @throws FormatError "format/file" for scales that are NaN or infinite */
function requireFiniteScales(path: string, name: string, stored: StoredTensor): void {
  if (hasFiniteScales(stored)) return;
  throw damagedGguf(path, `tensor "${name}" has NaN or infinity as a scale`, "numbers");
}

/** Tensors that are read at once: while one is unpacked, the bytes of the other are read. */
const MAX_READS = 2;

/** Memory for raw bytes, lent to at most MAX_READS reads at once; others wait. */
class RawMemory {
  readonly #idle: ArrayBuffer[] = [];
  readonly #waiting: (() => void)[] = [];
  #numLent = 0;

  /** Lends memory of at least `numBytes` until `work` ends. */
  async use<T>(numBytes: number, work: (buffer: ArrayBuffer) => Promise<T>): Promise<T> {
    if (this.#numLent === MAX_READS) await new Promise<void>((begin) => this.#waiting.push(begin));
    else this.#numLent++;
    const at = this.#idle.findIndex(({ byteLength }) => byteLength >= numBytes);
    const buffer = at >= 0 ? this.#idle.splice(at, 1)[0]! : new ArrayBuffer(numBytes);
    try {
      return await work(buffer);
    } finally {
      this.#idle.push(buffer);
      const next = this.#waiting.shift();
      if (next) next();
      else this.#numLent--;
    }
  }
}

/** A tensor's name and storage, and where it begins. */
interface Placed {
  readonly name: string;
  readonly storage: StorageName;
  readonly offset: number;
}

/** A whole tensor and where it lies. */
interface Whole extends Placed {
  readonly shape: readonly number[];
  readonly sizeBytes: number;
}

/** Returns a function that reads values of a file's tensors, from element `start` on; its calls may overlap. */
export function ggufValues(
  file: ByteSource,
): (tensor: Placed, start: number, into: Float32Array) => Promise<void> {
  const memoryOf = new Map<StorageName, Planes>();
  const rawMemory = new RawMemory();
  /** By offset in the file: how many blocks from there on are known to have finite scales. */
  const numChecked = new Map<number, number>();
  return async ({ name, storage, offset }, start, into) => {
    const kind: Storage = STORAGES[storage];
    const pieceBytes = (Math.min(PIECE_ELEMENTS, into.length) / kind.blockSize) * kind.blockBytes;
    await rawMemory.use(pieceBytes, async (buffer) => {
      for (let done = 0; done < into.length; done += PIECE_ELEMENTS) {
        const numBlocks = Math.min(PIECE_ELEMENTS, into.length - done) / kind.blockSize;
        const from = offset + ((start + done) / kind.blockSize) * kind.blockBytes;
        const raw = new Uint8Array(buffer, 0, numBlocks * kind.blockBytes);
        await file.readInto(from, raw);
        const values = into.subarray(done, done + numBlocks * kind.blockSize);
        const isChecked = numBlocks <= (numChecked.get(from) ?? 0);
        if (kind.dequantizeRaw && isChecked) {
          kind.dequantizeRaw(raw, values);
          continue;
        }
        // The rest of the iteration is synchronous, so that all reads can share the planes.
        const shape = [numBlocks * kind.blockSize];
        const planes = kind.unpack(raw, shape, memoryOf.get(storage));
        if (shape[0] === PIECE_ELEMENTS) memoryOf.set(storage, planes);
        if (!isChecked) requireFiniteScales(file.path, name, { storage, shape, planes });
        if (!isChecked && shape[0]! >= REMEMBERED_ELEMENTS) numChecked.set(from, numBlocks);
        kind.dequantize(planes, 0, numBlocks, values);
      }
    });
  };
}

/** Returns a function that reads tensors of a file in their storage, into planes of the caller where these fit, else fresh ones. */
export function ggufTensors(file: ByteSource): (tensor: Whole, memory?: Planes) => Promise<StoredTensor> {
  const rawMemory = new RawMemory();
  const readPlanes = async (
    { storage, shape, offset, sizeBytes }: Whole,
    memory: Planes,
  ): Promise<Planes> => {
    const kind: Storage = STORAGES[storage];
    const pieceBytes = Math.min(sizeBytes, (PLANE_PIECE_ELEMENTS / kind.blockSize) * kind.blockBytes);
    return await rawMemory.use(pieceBytes, async (buffer) => {
      const raw = new Uint8Array(buffer, 0, pieceBytes);
      const planes = planesOf(kind, shape, memory);
      const allBlocks = numElements(shape) / kind.blockSize;
      for (let done = 0; done < sizeBytes; done += pieceBytes) {
        const piece = raw.subarray(0, Math.min(pieceBytes, sizeBytes - done));
        await file.readInto(offset + done, piece);
        const [first, numBlocks] = [done / kind.blockBytes, piece.length / kind.blockBytes];
        kind.unpack(piece, [numBlocks * kind.blockSize], partOf(planes, { first, numBlocks, allBlocks }));
      }
      return planes;
    });
  };
  return async (tensor, memory = {}) => {
    const { name, storage, shape, offset, sizeBytes } = tensor;
    const isDense = STORAGES[storage].blockSize === 1;
    // Planes of storages without blocks are views of what was read.
    const stored = isDense
      ? unpackStored(storage, await file.read(offset, sizeBytes), shape)
      : { storage, shape, planes: await readPlanes(tensor, memory) };
    requireFiniteScales(file.path, name, stored);
    return stored;
  };
}

/** Planes for a tensor, in planes of `memory` that have their type and length, else in fresh memory. */
function planesOf(kind: Storage, shape: readonly number[], memory: Planes): Planes {
  const one = kind.unpack(new Uint8Array(kind.blockBytes), [kind.blockSize]);
  const rowBlocks = rowsAndColumns(shape).numColumns / kind.blockSize;
  return Object.fromEntries(
    Object.entries(one).map(([name, { dtype, data: block }]) => {
      const planeShape = [...shape.slice(0, -1), rowBlocks * block.length];
      const given = memory[name];
      const fits = given?.dtype === dtype && given.data.length === numElements(planeShape);
      return [name, fits ? { ...given, shape: planeShape } : zeros(dtype, planeShape)];
    }),
  );
}

/** Some blocks of a tensor. */
interface BlockRange {
  readonly first: number;
  readonly numBlocks: number;
  /** Blocks of the whole tensor. */
  readonly allBlocks: number;
}

/** Views of some blocks of planes. */
function partOf(planes: Planes, { first, numBlocks, allBlocks }: BlockRange): Planes {
  return Object.fromEntries(
    Object.entries(planes).map(([name, { dtype, data }]) => {
      const perBlock = data.length / allBlocks;
      const part = data.subarray(first * perBlock, (first + numBlocks) * perBlock);
      return [name, hostTensor(dtype, [part.length], part)];
    }),
  );
}
