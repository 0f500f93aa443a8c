/** @file Planes: the arrays of a stored tensor (codes, scales, ...), each with the rows (outputs) first. */
import { assertInternal } from "../errors.ts";
import type { DType } from "../graph/dtype.ts";
import type { HostTensor } from "../runtime/host-tensor.ts";

/** Planes of a stored tensor by name. */
export type Planes = Readonly<Record<string, HostTensor>>;

/** Takes a plane of a known type out of a set. */
export function plane<D extends DType>(planes: Planes, name: string, dtype: D): HostTensor<D> {
  const found = planes[name];
  assertInternal(found?.dtype === dtype, `plane ${name} is ${found?.dtype ?? "missing"}, expected ${dtype}`);
  return found as HostTensor<D>;
}
