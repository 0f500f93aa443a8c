/**
 * @file Numbers that grow where they are, up to a length for which addresses are reserved at first.
 *
 * Nothing is copied, nothing is there twice, and only what was written takes memory: in small pages, while a long array of
 * its own takes large ones where the C library asks for those, which the system clears whole (Linux).
 */
import { claim } from "./claim.ts";
import { takeResize } from "./own-resize.ts";

const BYTES_EACH = Float32Array.BYTES_PER_ELEMENT;

export class Growing {
  readonly #buffer: ArrayBuffer;
  readonly #resize: (sizeBytes: number) => void;

  /** Has no numbers yet. @throws CapacityError "capacity/memory" where there are no addresses for so many */
  constructor(maxLength: number) {
    const maxByteLength = maxLength * BYTES_EACH;
    const reserve = (): ArrayBuffer => new ArrayBuffer(0, { maxByteLength });
    this.#buffer = claim(`room for ${maxLength} numbers`, maxByteLength, reserve);
    this.#resize = takeResize(this.#buffer);
  }

  /** So many, or as many as there were; new ones are zero. Earlier views begin with the same. @throws CapacityError "capacity/memory" */
  growTo(length: number): Float32Array<ArrayBuffer> {
    const sizeBytes = length * BYTES_EACH;
    if (sizeBytes > this.#buffer.byteLength)
      claim(`${length} numbers`, sizeBytes, () => this.#resize(sizeBytes));
    return new Float32Array(this.#buffer, 0, this.#buffer.byteLength / BYTES_EACH);
  }
}
