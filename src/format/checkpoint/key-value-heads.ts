/**
 * @file A projection for keys and values that is divided into two tensors of a file, by heads, with keys transposed:
 *
 *   [H·(N + W), in]  ⇄  keys [H, in, N] and values [H, W, in]
 */
import type { DataOf } from "../../graph/dtype.ts";
import { dimsOf, numElements, showShape } from "../../graph/shape.ts";
import { dequantize, quantizeTo, type StoredTensor } from "../../quant/stored-tensor.ts";
import { STORAGES } from "../../quant/storages.ts";
import { transposed } from "../../linalg/transposed.ts";
import type { Form } from "./halves.ts";

/** Form of both together: in their common storage if it has no blocks, else float32. @throws RangeError for parts that do not fit */
export function joinedHeadsForm(keys: Form, values: Form): Form {
  const [[H, inFeatures, N], [otherH, W, otherIn]] = [dimsOf(keys.shape, 3), dimsOf(values.shape, 3)];
  if (H !== otherH || inFeatures !== otherIn) {
    throw new RangeError(`keys ${showShape(keys.shape)} and values ${showShape(values.shape)} of heads`);
  }
  const isAlike = keys.storage === values.storage && STORAGES[keys.storage].blockSize === 1;
  return { shape: [H * (N + W), inFeatures], storage: isAlike ? keys.storage : "f32" };
}

/** Joins the rows of keys and values of each head. */
export function joinHeads(keys: StoredTensor, values: StoredTensor): StoredTensor {
  const { shape, storage } = joinedHeadsForm(keys, values);
  const [[H, inFeatures, N], [, W]] = [dimsOf(keys.shape, 3), dimsOf(values.shape, 3)];
  const [fromKeys, fromValues] = [dequantize(keys), dequantize(values)];
  const joined = new Float32Array(numElements(shape));
  for (let head = 0; head < H; head++) {
    const start = head * (N + W) * inFeatures;
    const ofHead = fromKeys.subarray(head * inFeatures * N, (head + 1) * inFeatures * N);
    joined.set(transposed(ofHead, inFeatures, N), start);
    const from = head * W * inFeatures;
    joined.set(fromValues.subarray(from, from + W * inFeatures), start + N * inFeatures);
  }
  return quantizeTo(storage, joined, shape);
}

/** The forms of both parts of such a projection with `numHeads` heads, each with `keyRows` rows of keys. */
export function headForms(
  { shape, storage }: Form,
  numHeads: number,
  keyRows: number,
): readonly [keys: Form, values: Form] {
  const [numRows, inFeatures] = dimsOf(shape, 2);
  const ofRows = (rows: readonly number[]): Form => ({
    shape: rows,
    storage: rows.at(-1)! % STORAGES[storage].blockSize === 0 ? storage : "f32",
  });
  return [
    ofRows([numHeads, inFeatures, keyRows]),
    ofRows([numHeads, numRows / numHeads - keyRows, inFeatures]),
  ];
}

/** The inverse of `joinHeads`. */
export function splitHeads(
  stored: StoredTensor,
  [keys, values]: readonly [keys: Form, values: Form],
): readonly [keys: StoredTensor, values: StoredTensor] {
  const [[H, inFeatures, N], [, W]] = [dimsOf(keys.shape, 3), dimsOf(values.shape, 3)];
  const all = dequantize(stored);
  const [ofKeys, ofValues] = [keys, values].map(({ shape }) => new Float32Array(numElements(shape)));
  for (let head = 0; head < H; head++) {
    const start = head * (N + W) * inFeatures;
    const rows = all.subarray(start, start + N * inFeatures);
    ofKeys!.set(transposed(rows, N, inFeatures), head * inFeatures * N);
    const end = start + (N + W) * inFeatures;
    ofValues!.set(all.subarray(start + N * inFeatures, end), head * W * inFeatures);
  }
  const kept = (data: DataOf<"float32">, { storage, shape }: Form): StoredTensor =>
    quantizeTo(storage, data, shape);
  return [kept(ofKeys as DataOf<"float32">, keys), kept(ofValues as DataOf<"float32">, values)];
}
