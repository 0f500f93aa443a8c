/** @file Checks for numbers of a combination that no file can store, or that few programs can compute with. */
import { UsageError } from "../../errors.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";

/** The largest number of float16, in which many programs store an adapter. */
const LARGEST_HALF = 65_504;

/**
 * Refuses a tensor with a number that is not finite in float32: all inputs are finite, so the weights are to blame.
 * @throws UsageError "usage/combine"
 */
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

/** Warns of the largest number, if half precision cannot represent it. */
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
