/** @file Tensors whose rows are divided into two tensors of a file, such as one projection for gate and up. */
import type { DataOf } from "../../graph/dtype.ts";
import { sameShape, showShape } from "../../graph/shape.ts";
import {
  dequantize,
  roomForRows,
  setRows,
  storedFloats,
  type StoredTensor,
} from "../../quant/stored-tensor.ts";
import type { StorageName } from "../../quant/storages.ts";
import { hostTensor } from "../../runtime/host-tensor.ts";

/** The shape and storage of a tensor. */
export interface Form {
  readonly shape: readonly number[];
  readonly storage: StorageName;
}

/** Form of two halves together: in their storage, or float32 if these differ. @throws RangeError for halves of different shapes */
export function joinedForm(first: Form, second: Form): Form {
  const [numRows = 0, ...inner] = first.shape;
  if (!sameShape(first.shape, second.shape)) {
    throw new RangeError(`halves of ${showShape(first.shape)} and ${showShape(second.shape)}`);
  }
  return {
    shape: [2 * numRows, ...inner],
    storage: first.storage === second.storage ? first.storage : "f32",
  };
}

/** Joins the rows of both. */
export function joinHalves(first: StoredTensor, second: StoredTensor): StoredTensor {
  const { storage } = joinedForm(first, second);
  const [upper, lower] = [first, second].map((half) =>
    half.storage === storage ? half : storedFloats(hostTensor("float32", half.shape, dequantize(half))),
  ) as [StoredTensor, StoredTensor];
  const numRows = upper.shape[0]!;
  const joined = roomForRows(upper, 2 * numRows);
  setRows(joined, upper, 0);
  setRows(joined, lower, numRows);
  return joined;
}

/** Views of both halves of the rows. */
export function halvesOf(stored: StoredTensor): [StoredTensor, StoredTensor] {
  const of = (half: 0 | 1): StoredTensor => ({
    storage: stored.storage,
    shape: halved(stored.shape),
    planes: Object.fromEntries(
      Object.entries(stored.planes).map(([name, { dtype, shape, data }]) => [
        name,
        hostTensor(
          dtype,
          halved(shape),
          data.subarray((half * data.length) / 2, ((half + 1) * data.length) / 2),
        ),
      ]),
    ),
  });
  return [of(0), of(1)];
}

/** The shape of half of the rows. */
export const halved = ([numRows = 0, ...inner]: readonly number[]): number[] => [numRows / 2, ...inner];

/**
 * Fills `into` with elements of both halves, one after the other, from element `start` on.
 * @param size number of elements of each half
 * @param read fills memory with elements of one half; not called for a half of which none are needed
 */
export async function readHalves(
  { size, start }: { readonly size: number; readonly start: number },
  into: DataOf<"float32">,
  read: (half: 0 | 1, start: number, into: DataOf<"float32">) => Promise<void>,
): Promise<void> {
  const numOfFirst = Math.max(0, Math.min(into.length, size - start));
  if (numOfFirst > 0) await read(0, start, into.subarray(0, numOfFirst));
  if (into.length > numOfFirst) await read(1, Math.max(0, start - size), into.subarray(numOfFirst));
}
