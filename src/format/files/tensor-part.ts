/** @file Parts of tensors in files, such as an expert's matrix in a stack of all of them. */

/** Where a tensor lies in a file. */
interface Placed {
  readonly shape: readonly number[];
  readonly offset: number;
  readonly sizeBytes: number;
}

/** Names a part of a tensor, as `partOf` counts them. */
export interface TensorPart {
  readonly index: number;
  readonly numCuts: number;
}

/** Locates a part of a tensor: one index of the first axis, or, of the second axis there, one of `numCuts` equal ranges. */
export function partOf<T extends Placed>(tensor: T, part: number, numCuts = 1): T {
  const [count = 1, ...inner] = tensor.shape;
  const [numRows = 1, ...rest] = inner;
  const shape = numCuts === 1 ? inner : [numRows / numCuts, ...rest];
  const sizeBytes = tensor.sizeBytes / count / numCuts;
  return { ...tensor, shape, sizeBytes, offset: tensor.offset + part * sizeBytes };
}
