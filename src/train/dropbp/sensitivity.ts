/**
 * @file How much the gradients change when one branch is left out of the backward pass; both published definitions.
 *
 *   norm      C_i = Σ_k (‖g_k‖ - ‖g_k^(i)‖)²
 *   gradient  C_i = Σ_k ‖g_k - g_k^(i)‖²
 *
 *   g_k gradient of parameter k  g_k^(i) the same without branch i; what is absent counts as 0
 * Paper: as `allocate-rates`; `norm` is the default of its code, `gradient` is what the paper names.
 */
import type { VectorGroup } from "../../optim/updater.ts";
import type { GradientGroup } from "../../run/gradients/gradient-buffer.ts";
import type { PartedVector } from "../../runtime/memory/parted-vector.ts";

/** Gradients of a group of parameters. */
interface Gradients extends Pick<GradientGroup, "values" | "present"> {
  readonly group: Pick<VectorGroup, "parameters">;
}

/** A definition of the sensitivity. */
export interface Sensitivity {
  readonly name: string;
  /** Copies of the gradients of a group that are compared at a time. */
  readonly numCopies: number;
  /** What is compared of gradients. */
  read(groups: readonly Gradients[]): Promise<ArrayLike<number>[]>;
}

/** The numbers of a parameter in the vector of its group. */
type Read<T> = (values: PartedVector, from: number, to: number) => Promise<T>;

/** Reads what is wanted of each parameter; `absent`: of one without gradient. */
async function ofParameters<T>(
  groups: readonly Gradients[],
  read: Read<T>,
  absent: (length: number) => T,
): Promise<T[]> {
  const found: T[] = [];
  for (const { group, values, present } of groups) {
    for (const [i, { offset, length }] of group.parameters.entries())
      found.push(present[i] ? await read(values, offset, offset + length) : absent(length));
  }
  return found;
}

/** Where the gradients are: a copy of an embedding's would be as large as the embedding. */
const norm: Read<number> = async (values, from, to) => {
  let sum = 0;
  await values.visit(from, to, "read", (view) => {
    for (let i = 0; i < view.length; i++) sum += view[i]! * view[i]!;
  });
  return Math.sqrt(sum);
};

export const SENSITIVITIES: readonly Sensitivity[] = [
  {
    name: "norm",
    numCopies: 0,
    read: async (groups) => [await ofParameters(groups, norm, () => 0)],
  },
  {
    name: "gradient",
    // Of the whole pass, and of the one without a branch.
    numCopies: 2,
    read: (groups) =>
      ofParameters<Float32Array>(
        groups,
        (values, from, to) => values.read(from, to),
        (length) => new Float32Array(length),
      ),
  },
];

/** Sum of squared differences of what `read` gave. */
export function squaredDistance(a: readonly ArrayLike<number>[], b: readonly ArrayLike<number>[]): number {
  let sum = 0;
  for (const [i, vector] of a.entries()) {
    const other = b[i]!;
    for (let j = 0; j < vector.length; j++) sum += (vector[j]! - other[j]!) ** 2;
  }
  return sum;
}
