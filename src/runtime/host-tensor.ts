/** @file Tensors in host memory: a typed array (or a view into one) with a shape, row-major. */
import { DTYPES, type DataOf, type DType, type TensorData } from "../graph/dtype.ts";
import { numElements, showShape } from "../graph/shape.ts";
import { claim } from "./memory/claim.ts";

/** A tensor in host memory. Whoever made `data` owns it. */
export interface HostTensor<D extends DType = DType> {
  readonly dtype: D;
  readonly shape: readonly number[];
  readonly data: DataOf<D>;
}

/** Tensors by name: those of a program's inputs or outputs, or the parts of something. */
export type Tensors = Readonly<Record<string, HostTensor>>;

/** Wraps a typed array, without copying it. @throws RangeError when the length does not fit the shape. */
export function hostTensor<D extends DType>(
  dtype: D,
  shape: readonly number[],
  data: DataOf<D>,
): HostTensor<D> {
  if (data.length !== numElements(shape)) {
    throw new RangeError(
      `Cannot wrap ${dtype} ${showShape(shape)}: ${data.length} elements, expected ${numElements(shape)}`,
    );
  }
  return { dtype, shape, data };
}

/** Makes a tensor of zeros; the caller owns it. @throws CapacityError "capacity/memory" when there is not enough memory */
export function zeros<D extends DType>(dtype: D, shape: readonly number[]): HostTensor<D> {
  const { array } = DTYPES[dtype];
  const length = numElements(shape);
  const what = `${dtype} ${showShape(shape)}`;
  const data = claim(what, length * array.BYTES_PER_ELEMENT, () => new array(length) as TensorData);
  return { dtype, shape, data: data as DataOf<D> };
}
