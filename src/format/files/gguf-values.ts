/**
 * @file Values of the tensors of a GGUF file in float32, read and dequantized some blocks at a time.
 *
 * The raw bytes of a piece and its planes lie in memory that is used again, small enough for the caches of a processor.
 */
import type { Planes } from "../../quant/planes.ts";
import type { Storage } from "../../quant/storage.ts";
import { STORAGES, type StorageName } from "../../quant/storages.ts";
import { hasFiniteScales, type StoredTensor } from "../../quant/stored-tensor.ts";
import type { ByteSource } from "./byte-source.ts";
import { damagedGguf } from "./gguf-header.ts";

/** Elements of a piece: whole blocks of every kind. */
export const PIECE_ELEMENTS = 1 << 18;
/** Pieces below this size, such as rows of an embedding, are looked at every time instead of remembered. */
const REMEMBERED_ELEMENTS = 4096;

/** @throws FormatError "format/file" for scales that are no numbers */
export function requireFiniteScales(path: string, name: string, stored: StoredTensor): void {
  if (hasFiniteScales(stored)) return;
  throw damagedGguf(path, `tensor "${name}" has NaN or infinity as a scale`, "numbers");
}

/** Where a tensor begins. */
interface Placed {
  readonly name: string;
  readonly storage: StorageName;
  readonly offset: number;
}

/** Makes what reads values of a file's tensors, from element `start` on; calls may overlap. */
export function ggufValues(
  file: ByteSource,
): (tensor: Placed, start: number, into: Float32Array) => Promise<void> {
  const memoryOf = new Map<StorageName, Planes>();
  /** Raw bytes of pieces, of reads that are done. */
  const idle: ArrayBuffer[] = [];
  const checked = new Set<number>();
  return async ({ name, storage, offset }, start, into) => {
    const kind: Storage = STORAGES[storage];
    const pieceBytes = (Math.min(PIECE_ELEMENTS, into.length) / kind.blockSize) * kind.blockBytes;
    const at = idle.findIndex(({ byteLength }) => byteLength >= pieceBytes);
    const buffer = at >= 0 ? idle.splice(at, 1)[0]! : new ArrayBuffer(pieceBytes);
    try {
      for (let done = 0; done < into.length; done += PIECE_ELEMENTS) {
        const numBlocks = Math.min(PIECE_ELEMENTS, into.length - done) / kind.blockSize;
        const from = offset + ((start + done) / kind.blockSize) * kind.blockBytes;
        const raw = new Uint8Array(buffer, 0, numBlocks * kind.blockBytes);
        await file.readInto(from, raw);
        const values = into.subarray(done, done + numBlocks * kind.blockSize);
        if (kind.dequantizeRaw && checked.has(from)) {
          kind.dequantizeRaw(raw, values);
          continue;
        }
        // From here to the end of the piece nothing else runs, so that all reads share the planes.
        const shape = [numBlocks * kind.blockSize];
        const planes = kind.unpack(raw, shape, memoryOf.get(storage));
        if (shape[0] === PIECE_ELEMENTS) memoryOf.set(storage, planes);
        if (!checked.has(from)) requireFiniteScales(file.path, name, { storage, shape, planes });
        if (shape[0]! >= REMEMBERED_ELEMENTS) checked.add(from);
        kind.dequantize(planes, 0, numBlocks, values);
      }
    } finally {
      idle.push(buffer);
    }
  };
}
