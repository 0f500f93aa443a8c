/**
 * @file Decompresses `.zst` where Node has no decoder (before 22.15), by a library. It has no limit, so the size of the output
 * is first computed from the headers of frames and blocks (RFC 8878, 3.1.1).
 *
 * A block states its size unless it is compressed; then it makes at most 128 KiB, and in an honest file all but the last make
 * about that. For a frame that does not state its size, the library moves the whole window for every block.
 */
import { decompressZstd } from "hyparquet-compressors";
import { ExpandsTooFar } from "../../untrusted/limits.ts";

const [MAGIC, SKIPPABLE, SKIPPABLE_MASK] = [0xfd2fb528, 0x184d2a50, 0xfffffff0];
const MOST_OF_BLOCK = 1 << 17;
/** Number of moved bytes that take as long as one byte of output. */
const MOVED_PER_MADE = 64;

/** The cost of decompressing a file. */
interface Cost {
  madeBytes: number;
  movedBytes: number;
}

class Frames {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  addUp(): Cost {
    const cost: Cost = { madeBytes: 0, movedBytes: 0 };
    while (this.#at < this.#bytes.length) {
      const magic = this.#number(4);
      if ((magic & SKIPPABLE_MASK) >>> 0 === SKIPPABLE) this.#skip(this.#number(4));
      else if (magic === MAGIC) this.#addFrame(cost);
      else throw new Error("it is not a zstd file");
    }
    return cost;
  }

  /** Reads a number of `numBytes` bytes, the lowest first. */
  #number(numBytes: number): number {
    let value = 0;
    for (let i = 0; i < numBytes; i++) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) throw new Error("it is truncated");
      value += byte * 2 ** (8 * i);
    }
    return value;
  }

  #skip(numBytes: number): void {
    this.#at += numBytes;
  }

  #addFrame(cost: Cost): void {
    const flags = this.#number(1);
    const isSingle = (flags & 0x20) !== 0;
    const windowByte = isSingle ? 0 : this.#number(1);
    const windowBytes = 2 ** (10 + (windowByte >> 3)) * (1 + (windowByte & 7) / 8);
    this.#skip([0, 1, 2, 4][flags & 3]!); // id of a dictionary
    const sizeBytes = [isSingle ? 1 : 0, 2, 4, 8][flags >> 6]!;
    const saidBytes = this.#number(sizeBytes) + (sizeBytes === 2 ? 256 : 0);
    let [madeBytes, numBlocks] = [0, 0];
    for (let isLast = false; !isLast; numBlocks++) {
      const header = this.#number(3);
      isLast = (header & 1) === 1;
      const [kind, size] = [(header >> 1) & 3, header >> 3];
      madeBytes += kind === 2 ? MOST_OF_BLOCK : size;
      this.#skip(kind === 1 ? 1 : size);
    }
    if ((flags & 4) !== 0) this.#skip(4); // checksum
    // The library allocates the size that a frame states, and writes no more.
    cost.madeBytes += sizeBytes > 0 ? saidBytes : madeBytes;
    if (sizeBytes === 0) cost.movedBytes += windowBytes * (numBlocks + 1);
  }
}

/** Decompresses a whole file. @throws Error when it is damaged, ExpandsTooFar when it would expand beyond `mostBytes` */
export function decompressZst(bytes: Uint8Array, mostBytes: number): Uint8Array {
  const { madeBytes, movedBytes } = new Frames(bytes).addUp();
  // Allows for one block: the last of a frame may be shorter than counted.
  if (madeBytes > mostBytes + MOST_OF_BLOCK || movedBytes > MOVED_PER_MADE * mostBytes)
    throw new ExpandsTooFar(mostBytes);
  return decompressZstd(bytes);
}
