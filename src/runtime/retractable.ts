/**
 * @file Memory that goes back to the system and comes back at the same address, empty.
 *
 * A resizable ArrayBuffer reserves its addresses once; shrunk to nothing it holds no pages. Views of it stay the same
 * objects: they have no elements meanwhile, so that whoever uses them at the wrong time fails instead of reading zeros.
 */
import { assertInternal } from "../errors.ts";

/** Says of each buffer whether native code has its address now. */
const lentBy = new WeakMap<ArrayBufferLike, () => boolean>();
const made = new WeakSet<ArrayBufferLike>();

export class Retractable {
  readonly buffer: ArrayBuffer;
  readonly sizeBytes: number;
  readonly #resize: (sizeBytes: number) => void;

  /** Takes memory of zeros. */
  constructor(sizeBytes: number) {
    this.sizeBytes = sizeBytes;
    this.buffer = new ArrayBuffer(sizeBytes, { maxByteLength: sizeBytes });
    this.#resize = this.buffer.resize.bind(this.buffer);
    const refuse = (): never => {
      throw new TypeError("Cannot resize this ArrayBuffer: native code may have its address");
    };
    Object.defineProperty(this.buffer, "resize", { value: refuse });
    made.add(this.buffer);
  }

  get isThere(): boolean {
    return this.buffer.byteLength === this.sizeBytes;
  }

  /** Takes the memory again, all zeros. */
  extend(): void {
    this.#resize(this.sizeBytes);
  }

  /** Gives the memory back; its contents are lost. */
  retract(): void {
    assertInternal(!lentBy.get(this.buffer)?.(), "memory is given back while a program uses it");
    this.#resize(0);
  }
}

/** Whether a resizable buffer shrinks only when nobody uses it. */
export function isRetractable(buffer: ArrayBufferLike): boolean {
  return made.has(buffer);
}

/** Keeps a buffer from being given back while `isLent`. */
export function guardRetractable(buffer: ArrayBufferLike, isLent: () => boolean): void {
  if (made.has(buffer)) lentBy.set(buffer, isLent);
}
