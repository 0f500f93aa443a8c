/** @file Parts of tensors in files, such as an expert's matrix in a stack of all of them. */

/** Where a tensor lies in a file. */
interface Placed {
  readonly shape: readonly number[];
  readonly offset: number;
  readonly sizeBytes: number;
}

/** One of the parts of a tensor along the first axis, where it lies. */
export function partOf<T extends Placed>(tensor: T, part: number): T {
  const [count = 1, ...shape] = tensor.shape;
  const sizeBytes = tensor.sizeBytes / count;
  return { ...tensor, shape, sizeBytes, offset: tensor.offset + part * sizeBytes };
}
