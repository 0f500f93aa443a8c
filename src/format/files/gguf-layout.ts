/**
 * @file Walks through the header of a GGUF file and holds every length in it against the file's size, before the reader
 * makes entries out of nothing: it sees zeros past the end, and would make as many as a damaged count says.
 */
import { FormatError } from "../../errors.ts";
import type { ByteSource } from "./byte-source.ts";

/** Bytes of each type of value by its number; strings are 8, lists 9. */
const VALUE_BYTES = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8];
const [STRING, LIST] = [8, 9];
/** Least bytes of a tensor's entry (name, axes, type, offset) and of a setting (key, type, value). */
const [MIN_TENSOR_BYTES, MIN_SETTING_BYTES] = [24, 13];
/** Where the settings begin: after magic, version and two counts. */
export const SETTINGS_OFFSET = 24;
/** Lists in lists; axes of a tensor. */
const [MAX_DEPTH, MAX_AXES] = [4, 8];
/** Bytes that are looked at first; a header of a large vocabulary has several megabytes. */
const FIRST_BYTES = 1 << 20;

/** Makes the error of a GGUF file that cannot be read. */
export function damagedGguf(path: string, found: string, expected: string, cause?: unknown): FormatError {
  return new FormatError("format/file", `Cannot read GGUF file "${path}": ${found}, expected ${expected}`, {
    hint: "The file is truncated or damaged: download or copy it again.",
    cause,
  });
}

/** Says that the walk needs bytes up to `end`. */
class NeedsBytes extends Error {
  readonly end: number;
  constructor(end: number) {
    super();
    this.end = end;
  }
}

/** A place in the header that moves on over what is known to be there. */
class Walk {
  readonly #path: string;
  readonly #view: DataView;
  readonly #fileBytes: number;
  #at = SETTINGS_OFFSET;

  constructor(path: string, bytes: Uint8Array, fileBytes: number) {
    this.#path = path;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#fileBytes = fileBytes;
  }

  skip(numBytes: number): void {
    this.#at += numBytes;
    if (this.#at > this.#fileBytes) {
      throw damagedGguf(this.#path, `${this.#fileBytes} bytes`, `at least ${this.#at} for the header`);
    }
    if (this.#at > this.#view.byteLength) throw new NeedsBytes(this.#at);
  }

  uint32(): number {
    this.skip(4);
    return this.#view.getUint32(this.#at - 4, true);
  }

  uint64(): number {
    this.skip(8);
    return Number(this.#view.getBigUint64(this.#at - 8, true));
  }

  text(): void {
    this.skip(this.uint64());
  }

  value(type: number, depth = 0): void {
    if (type === STRING) return this.text();
    if (type !== LIST) return this.skip(this.#bytesOf(type));
    if (depth === MAX_DEPTH) throw damagedGguf(this.#path, `lists in lists, ${depth} levels`, "fewer");
    const element = this.uint32();
    const count = this.uint64();
    if (element !== STRING && element !== LIST) return this.skip(count * this.#bytesOf(element));
    // Each has 8 bytes of length at least: a count that does not fit ends the walk before it begins.
    if (count * 8 > this.#fileBytes) this.skip(count * 8);
    for (let i = 0; i < count; i++) this.value(element, depth + 1);
  }

  #bytesOf(type: number): number {
    const bytes = VALUE_BYTES[type];
    if (bytes !== undefined) return bytes;
    throw damagedGguf(this.#path, `a value of type ${type}`, `a type up to ${VALUE_BYTES.length - 1}`);
  }

  setting(): void {
    this.text();
    this.value(this.uint32());
  }

  tensor(): void {
    this.text();
    const numAxes = this.uint32();
    if (numAxes > MAX_AXES)
      throw damagedGguf(this.#path, `a tensor of ${numAxes} axes`, `at most ${MAX_AXES}`);
    this.skip(8 * numAxes + 4 + 8);
  }
}

/** Checks that the header of a file fits into it. @throws FormatError "format/file" */
export async function checkGgufLayout(file: ByteSource): Promise<void> {
  const { path, sizeBytes } = file;
  const view = new DataView((await file.read(0, SETTINGS_OFFSET)).buffer);
  if (view.getUint32(4, true) < 2) return; // version 1 has narrower counts
  const [tensors, settings] = [Number(view.getBigUint64(8, true)), Number(view.getBigUint64(16, true))];
  const least = SETTINGS_OFFSET + tensors * MIN_TENSOR_BYTES + settings * MIN_SETTING_BYTES;
  if (least > sizeBytes) {
    const expected = `at least ${least} for ${tensors} tensors and ${settings} settings`;
    throw damagedGguf(path, `${sizeBytes} bytes`, expected);
  }
  for (let numBytes = Math.min(FIRST_BYTES, sizeBytes); ;) {
    const walk = new Walk(path, await file.read(0, numBytes), sizeBytes);
    try {
      for (let i = 0; i < settings; i++) walk.setting();
      for (let i = 0; i < tensors; i++) walk.tensor();
      return;
    } catch (error) {
      if (!(error instanceof NeedsBytes)) throw error;
      numBytes = Math.min(sizeBytes, Math.max(error.end, 4 * numBytes));
    }
  }
}
