/** @file Walks over the bytes of a GGUF header, value by value; no byte is read before it is known to be there. */
import { FormatError } from "../../../errors.ts";
import type { ByteSource } from "../byte-source.ts";
import { joinedTexts, type Stretches } from "./joined-texts.ts";

/** Reads a number at an offset. */
type ReadNumber = (view: DataView, at: number) => number | bigint | boolean;
const NUMBERS: Readonly<Record<number, readonly [numBytes: number, read: ReadNumber]>> = {
  0: [1, (view, at) => view.getUint8(at)],
  1: [1, (view, at) => view.getInt8(at)],
  2: [2, (view, at) => view.getUint16(at, true)],
  3: [2, (view, at) => view.getInt16(at, true)],
  4: [4, (view, at) => view.getUint32(at, true)],
  5: [4, (view, at) => view.getInt32(at, true)],
  6: [4, (view, at) => view.getFloat32(at, true)],
  7: [1, (view, at) => view.getUint8(at) !== 0],
  10: [8, (view, at) => view.getBigUint64(at, true)],
  11: [8, (view, at) => view.getBigInt64(at, true)],
  12: [8, (view, at) => view.getFloat64(at, true)],
};
const [STRING, LIST, LAST_TYPE] = [8, 9, 12];
/** Limits: levels of nested lists, elements of a list, axes of a tensor. */
const [MAX_DEPTH, MAX_ELEMENTS, MAX_AXES] = [4, 1e6, 8];
/** A tensor's entry in the header. */
export interface GgufInfo {
  readonly name: string;
  /** The columns first. */
  readonly axes: readonly number[];
  readonly ggmlType: number;
  /** Offset in bytes from the beginning of the data. */
  readonly offset: number;
}

/** Makes the error for a GGUF file that cannot be read. */
export function damagedGguf(path: string, found: string, expected: string): FormatError {
  return new FormatError("format/file", `Cannot read GGUF file "${path}": ${found}, expected ${expected}`, {
    hint: "The file is truncated or damaged: download or copy it again.",
  });
}

/** Thrown when the walk needs the bytes of the file up to `end`. */
export class NeedsBytes extends Error {
  readonly end: number;
  constructor(end: number) {
    super();
    this.end = end;
  }
}

/** A position in the header, which moves forward over bytes that are known to be there. */
export class HeaderWalk {
  readonly #path: string;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #fileBytes: number;
  /** Bytes of a count or length. */
  readonly #sizeBytes: number;
  at = 8;

  constructor({ path, sizeBytes }: ByteSource, bytes: Uint8Array, version: number) {
    this.#path = path;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#fileBytes = sizeBytes;
    this.#sizeBytes = version === 1 ? 4 : 8;
  }

  /** Moves forward over bytes; returns where they begin. */
  #skip(numBytes: number): number {
    const start = this.at;
    this.at += numBytes;
    if (this.at > this.#fileBytes) {
      throw damagedGguf(this.#path, `${this.#fileBytes} bytes`, `at least ${this.at} for the header`);
    }
    if (this.at > this.#view.byteLength) throw new NeedsBytes(this.at);
    return start;
  }

  uint32(): number {
    return this.#view.getUint32(this.#skip(4), true);
  }

  uint64(): number {
    const start = this.#skip(8);
    return this.#view.getUint32(start, true) + this.#view.getUint32(start + 4, true) * 2 ** 32;
  }

  size(): number {
    return this.#sizeBytes === 4 ? this.uint32() : this.uint64();
  }

  text(): string {
    const start = this.#skip(this.size());
    return new TextDecoder().decode(this.#bytes.subarray(start, this.at));
  }

  value(type: number, depth = 0): unknown {
    if (type === STRING) return this.text();
    if (type === LIST) return this.#list(depth);
    const [numBytes, read] = this.#numberOf(type);
    return read(this.#view, this.#skip(numBytes));
  }

  #list(depth: number): unknown[] {
    if (depth === MAX_DEPTH) throw damagedGguf(this.#path, `nested lists, ${depth} levels`, "fewer");
    const type = this.uint32();
    const count = this.size();
    const isNested = type === STRING || type === LIST;
    // A text or list has at least its length, so that a count too large for the file is refused before anything is allocated.
    const [numBytes, read] = isNested ? [this.#sizeBytes, null] : this.#numberOf(type);
    if (count * numBytes > this.#fileBytes) this.#skip(count * numBytes);
    if (count > MAX_ELEMENTS)
      throw damagedGguf(this.#path, `a list of ${count} elements`, `at most ${MAX_ELEMENTS}`);
    if (type === STRING) return this.#texts(count);
    if (read === null) return Array.from({ length: count }, () => this.value(type, depth + 1));
    const start = this.#skip(count * numBytes);
    return Array.from({ length: count }, (_, i) => read(this.#view, start + i * numBytes));
  }

  #texts(count: number): string[] {
    const places: Stretches = { starts: new Float64Array(count), ends: new Float64Array(count) };
    for (let i = 0; i < count; i++) {
      places.starts[i] = this.#skip(this.size());
      places.ends[i] = this.at;
    }
    return joinedTexts(this.#bytes, places);
  }

  #numberOf(type: number): readonly [numBytes: number, read: ReadNumber] {
    const known = NUMBERS[type];
    if (known !== undefined) return known;
    throw damagedGguf(this.#path, `a value of type ${type}`, `a type up to ${LAST_TYPE}`);
  }

  setting(into: Record<string, unknown>): void {
    const key = this.text();
    into[key] = this.value(this.uint32());
  }

  tensor(): GgufInfo {
    const name = this.text();
    const numAxes = this.uint32();
    if (numAxes > MAX_AXES)
      throw damagedGguf(this.#path, `a tensor of ${numAxes} axes`, `at most ${MAX_AXES}`);
    const axes = Array.from({ length: numAxes }, () => this.size());
    return { name, axes, ggmlType: this.uint32(), offset: this.uint64() };
  }
}
