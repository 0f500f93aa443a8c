/**
 * @file An average in which each number of an adapter is weighted by its importance there, its Fisher information:
 *
 *   θ = Σ wᵢ Fᵢ θᵢ / Σ wᵢ Fᵢ     Fᵢ scaled to a mean square of 1 over each adapter, and at least FLOOR
 *
 * Paper: "Merging Models with Fisher-Weighted Averaging", arXiv:2111.09832, eq. 4. Scaling and floor are from the program of
 * arXiv:2306.14870, which applies the floor only to the last adapter.
 */
import { UsageError } from "../../errors.ts";
import { type HostTensor, hostTensor } from "../../runtime/host-tensor.ts";
import type { Algebra } from "./contract.ts";
import type { Numbers } from "./mixing.ts";
import type { Member } from "./plan.ts";

type Tensor = HostTensor<"float32">;

/** So numbers without information in any adapter count equally. */
const FLOOR = 1e-6;

/** Averages each number, in new memory. `weights` are positive. */
function fisherMean(
  tensors: readonly Numbers[],
  fishers: readonly Numbers[],
  weights: readonly number[],
): Float64Array {
  return Float64Array.from(tensors[0] ?? [], (_, j) => {
    let [sum, size] = [0, 0];
    for (const [i, tensor] of tensors.entries()) {
      const factor = weights[i]! * Math.max(fishers[i]![j]!, FLOOR);
      sum += factor * tensor[j]!;
      size += factor;
    }
    return sum / size;
  });
}

/** Averages the members' tensors of one name; `tensors`: one for each member. */
export async function averageByFisher(
  name: string,
  members: readonly Member[],
  tensors: readonly Tensor[],
): Promise<Tensor> {
  const fishers = await Promise.all(members.map(async (member) => (await member.adapter.fisher!(name)).data));
  const weights = members.map(({ coefficient }) => coefficient.signed);
  const values = tensors.map(({ data }) => data);
  return hostTensor(
    "float32",
    tensors[0]?.shape ?? [],
    Float32Array.from(fisherMean(values, fishers, weights)),
  );
}

/** Refuses methods whose numbers do not average. @throws UsageError "usage/combine" */
export function refuseFisherOf(name: string, algebra: Algebra<unknown, unknown>): void {
  if (algebra.kind !== "vectors" || algebra.isLinear) return;
  throw new UsageError(
    "usage/combine",
    `Cannot average adapters of method "${name}" by Fisher information: their changes are not linear in their parameters`,
    { hint: "Choose type paper or cat, which add changes." },
  );
}

/** Refuses sums that are not averages, and adapters that do not train the same parameters. @throws UsageError "usage/combine" */
export function refuseFisher(members: readonly Member[], algebra: Algebra<unknown, unknown>): void {
  for (const { name, adapter, coefficient } of members) {
    refuseFisherOf(adapter.method.name, algebra);
    const { kept, signed } = coefficient;
    const names = members.flatMap((member) => [...member.adapter.base.keys()]);
    const missing = names.find((tensor) => !adapter.base.has(tensor));
    const found =
      signed <= 0 || Math.abs(kept - signed) > 1e-12
        ? "it is subtracted, scaled as a whole or of weight 0, expected a sum of adapters with positive weights"
        : missing === undefined
          ? null
          : `it does not train "${missing}", which another does, expected the same parameters`;
    if (found === null) continue;
    throw new UsageError(
      "usage/combine",
      `Cannot average adapter "${name}" by Fisher information: ${found}`,
      {
        hint: "Write a sum like 0.7*a + 0.3*b of adapters on the same modules; scale or subtract the result.",
      },
    );
  }
}
