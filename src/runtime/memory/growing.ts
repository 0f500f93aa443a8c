/**
 * @file An array of numbers that grows in place, up to a length for which addresses are reserved at the start.
 *
 * Nothing is copied or held twice, and only what was written takes memory, in small pages. A long ordinary array may lie in large
 * pages where the C library asks for them, each of which the system clears whole (Linux).
 */
import { claim } from "./claim.ts";
import { takeResize } from "./own-resize.ts";

const BYTES_EACH = Float32Array.BYTES_PER_ELEMENT;

export class Growing {
  readonly #buffer: ArrayBuffer;
  readonly #resize: (sizeBytes: number) => void;

  /** Begins empty. @throws CapacityError "capacity/memory" where there are not enough addresses for `maxLength` numbers */
  constructor(maxLength: number) {
    const maxByteLength = maxLength * BYTES_EACH;
    const reserve = (): ArrayBuffer => new ArrayBuffer(0, { maxByteLength });
    this.#buffer = claim(`room for ${maxLength} numbers`, maxByteLength, reserve);
    this.#resize = takeResize(this.#buffer);
  }

  /**
   * Grows to `length` numbers, never shrinks; new ones are zero. Returns a view of all; earlier views share its beginning.
   * @throws CapacityError "capacity/memory"
   */
  growTo(length: number): Float32Array<ArrayBuffer> {
    const sizeBytes = length * BYTES_EACH;
    if (sizeBytes > this.#buffer.byteLength)
      claim(`${length} numbers`, sizeBytes, () => this.#resize(sizeBytes));
    return new Float32Array(this.#buffer, 0, this.#buffer.byteLength / BYTES_EACH);
  }
}
