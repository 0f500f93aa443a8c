/** @file Operands of a matrix in memory of their own, by suffix: for matrices that nothing shares memory with. */
import { type HostTensor, zeros } from "../../runtime/host-tensor.ts";
import type { LastingTensors } from "../../runtime/memory/program-memory.ts";
import type { Preparation, TensorReader } from "../compute.ts";

/** Makes them. @throws as the reader */
export function prepareOperands(
  preparation: Preparation,
  reader: TensorReader,
  tensors: Pick<LastingTensors, "zeros"> = { zeros },
): Promise<Readonly<Record<string, HostTensor>>> {
  return preparation.prepare(reader, (wanted) => {
    const { dtype, shape } = preparation.operands.find(({ suffix }) => suffix === wanted)!;
    return tensors.zeros(dtype, shape);
  });
}
