/**
 * @file Codes of 4 bits, two to a byte, in ggml's order and in that of planes.
 *
 * ggml fills `distance` bytes with twice as many codes: code i in the low half of byte i, code i + distance in its high
 * half. Planes have neighbours in one byte (code 2k low, 2k + 1 high), which is the order of ONNX UINT4.
 */

/** Runs of bytes, one for each block. */
export interface Runs {
  readonly data: Uint8Array;
  /** Offset of the first run. */
  readonly start: number;
  /** Bytes from one run to the next. */
  readonly stride: number;
}

/** Number and sizes of runs of codes. */
interface RunSizes {
  /** Number of blocks, which have one run each. */
  readonly numBlocks: number;
  /** Code bytes of a run. */
  readonly numBytes: number;
  readonly distance: number;
}

/** Copies runs from ggml's order to that of planes. */
export function joinNibbles(from: Runs, to: Runs, sizes: RunSizes): void {
  const { numBlocks, numBytes, distance } = sizes;
  const [words, into32] = [wordsOf(from), wordsOf(to)];
  if (words && into32 && distance % 8 === 0) return joinWords(words, into32, sizes);
  const [source, target] = [from.data, to.data];
  const half = distance / 2;
  for (let block = 0; block < numBlocks; block++) {
    let at = from.start + block * from.stride;
    let into = to.start + block * to.stride;
    for (const end = into + numBytes; into < end; into += distance, at += distance) {
      for (let k = 0; k < half; k++) {
        const even = source[at + 2 * k]!;
        const odd = source[at + 2 * k + 1]!;
        target[into + k] = (even & 0x0f) | ((odd & 0x0f) << 4);
        target[into + half + k] = (even >> 4) | (odd & 0xf0);
      }
    }
  }
}

/** Runs of four-byte words, with offsets counted in words. */
interface WordRuns {
  readonly words: Uint32Array;
  readonly start: number;
  readonly stride: number;
}

/** Views runs as words; null: they are not aligned. */
function wordsOf({ data, start, stride }: Runs): WordRuns | null {
  const isWhole = [data.byteOffset, data.byteLength, start, stride].every((place) => place % 4 === 0);
  if (!isWhole) return null;
  const words = new Uint32Array(data.buffer, data.byteOffset, data.byteLength / 4);
  return { words, start: start / 4, stride: stride / 4 };
}

/** `joinNibbles`, eight codes at a time: two source words give one word of their low halves and one of their high halves. */
function joinWords(from: WordRuns, to: WordRuns, { numBlocks, ...inBytes }: RunSizes): void {
  const [source, target] = [from.words, to.words];
  const [numWords, distance] = [inBytes.numBytes / 4, inBytes.distance / 4];
  const half = distance / 2;
  for (let block = 0; block < numBlocks; block++) {
    let at = from.start + block * from.stride;
    let into = to.start + block * to.stride;
    for (const end = into + numWords; into < end; into += distance, at += distance) {
      for (let k = 0; k < half; k++) {
        const first = source[at + 2 * k]!;
        const second = source[at + 2 * k + 1]!;
        target[into + k] = pairLow(first) | (pairLow(second) << 16);
        target[into + half + k] = pairLow(first >>> 4) | (pairLow(second >>> 4) << 16);
      }
    }
  }
}

/** Packs the low halves of four bytes, two to a byte: 16 bits. */
function pairLow(word: number): number {
  const pairs = (word & 0x000f000f) | ((word & 0x0f000f00) >>> 4);
  return (pairs & 0xff) | ((pairs >>> 8) & 0xff00);
}

/** Copies runs back to ggml's order. */
export function splitNibbles(from: Runs, to: Runs, { numBlocks, numBytes, distance }: RunSizes): void {
  const [source, target] = [from.data, to.data];
  const half = distance / 2;
  for (let block = 0; block < numBlocks; block++) {
    let at = from.start + block * from.stride;
    let into = to.start + block * to.stride;
    for (const end = into + numBytes; into < end; into += distance, at += distance) {
      for (let k = 0; k < half; k++) {
        const near = source[at + k]!;
        const far = source[at + half + k]!;
        target[into + 2 * k] = (near & 0x0f) | ((far & 0x0f) << 4);
        target[into + 2 * k + 1] = (near >> 4) | (far & 0xf0);
      }
    }
  }
}

/** Packs codes below 16 from one per byte to two per byte; higher bits are dropped. */
export function pairCodes(codes: Uint8Array): Uint8Array {
  const pairs = new Uint8Array(codes.length / 2);
  for (let i = 0; i < pairs.length; i++) pairs[i] = (codes[2 * i]! & 0x0f) | (codes[2 * i + 1]! << 4);
  return pairs;
}
