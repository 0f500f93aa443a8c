/** @file Numbers of a combination that no file can hold, or that few programs compute with. */
import { UsageError } from "../../errors.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";

/** The largest number of float16, in which many programs hold an adapter. */
const LARGEST_HALF = 65_504;

/** Refuses a tensor that its file, of float32, cannot hold: inputs are all numbers, so the weights are to blame. @throws UsageError "usage/combine" */
export function refuseInfinite(expression: string, name: string, { data }: HostTensor<"float32">): void {
  const found = data.find((value) => !Number.isFinite(value));
  if (found === undefined) return;
  throw new UsageError(
    "usage/combine",
    `Cannot combine by "${expression}": tensor "${name}" has ${found}, expected numbers that float32 can hold`,
    { hint: "Choose smaller weights, near 1." },
  );
}

type NamedTensors = readonly (readonly [name: string, tensor: HostTensor<"float32">])[];

/** Tells of the largest number, where half precision cannot hold it. */
export function warnOfLarge(tensors: NamedTensors): string[] {
  let [largest, owner] = [LARGEST_HALF, ""];
  for (const [name, { data }] of tensors) {
    for (let i = 0; i < data.length; i++) {
      if (Math.abs(data[i]!) > largest) [largest, owner] = [Math.abs(data[i]!), name];
    }
  }
  if (owner === "") return [];
  return [
    `Tensor "${owner}" has values up to ${largest.toPrecision(3)}: values above ${LARGEST_HALF} are infinite in float16, and products of such values may be infinite in float32. Choose weights near 1`,
  ];
}
