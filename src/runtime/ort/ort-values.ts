/** @file ONNX Runtime's objects for tensors, and C strings. */
import { DTYPES } from "../../graph/dtype.ts";
import type { Borrowed } from "../memory/borrowed-memory.ts";
import { type OrtApi, pointers } from "./ort-c-api.ts";

/** Address of the OrtValue for a tensor. */
export type OrtValue = bigint;

/** Scratch for the sizes of a tensor while its object is made; a model makes hundreds of them for one token. */
const SIZES = new BigInt64Array(new ArrayBuffer(8 * 64));

/** ONNX Runtime's object for a tensor: made once, released after the tensor. */
export function valueOf(api: OrtApi, one: Borrowed<OrtValue>): OrtValue {
  if (one.native !== null) return one.native;
  const { data, dtype, shape } = one;
  for (let axis = 0; axis < shape.length; axis++) SIZES[axis] = BigInt(shape[axis]!);
  // A tensor without elements has no memory, but must have an address.
  const address = data.length > 0 ? data : SIZES;
  const type = DTYPES[dtype].onnx;
  const memory = [api.memoryInfo, api.addressOf(address), data.byteLength] as const;
  one.native = api.make("createTensorWithDataAsOrtValue", ...memory, SIZES, shape.length, type);
  api.releaseWith(one, "value", one.native);
  return one.native;
}

/** C strings with an array of their addresses; keep it as long as the addresses are used. */
export class Texts {
  readonly #bytes: Uint8Array;
  readonly addresses: BigUint64Array;

  constructor(api: OrtApi, texts: readonly string[]) {
    const encoded = texts.map((text) => new TextEncoder().encode(`${text}\0`));
    this.#bytes = new Uint8Array(new ArrayBuffer(encoded.reduce((sum, { length }) => sum + length, 0)));
    this.addresses = pointers(texts.length);
    const base = texts.length > 0 ? api.addressOf(this.#bytes) : 0n;
    let offset = 0;
    for (const [i, bytes] of encoded.entries()) {
      this.#bytes.set(bytes, offset);
      this.addresses[i] = base + BigInt(offset);
      offset += bytes.length;
    }
  }
}
