/** @file Operands of a matrix in memory of their own, by suffix: for matrices that nothing shares memory with. */
import { type HostTensor, zeros } from "../runtime/host-tensor.ts";
import type { OperandSpec, Preparation, TensorReader } from "./compute.ts";

/** Makes them. @throws as the reader */
export function prepareOperands(
  { operands, prepare }: Preparation,
  reader: TensorReader,
): Promise<Readonly<Record<string, HostTensor>>> {
  return prepare(reader, (wanted) => {
    const { dtype, shape } = operands.find(({ suffix }) => suffix === wanted) as OperandSpec;
    return zeros(dtype, shape);
  });
}
