/**
 * @file A product whose operands are named and typed by role, such as codes and scales; the contract of an arithmetic names them
 * by suffix.
 */
import type { Value } from "../../graph/graph.ts";
import type { LossAndProbabilities } from "../../graph/ops/losses/linear-cross-entropy.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import type { OperandSpec, Product, TensorReader } from "../compute.ts";

/** Operands by role. */
type Roles = Readonly<Record<string, OperandSpec>>;

/** Operands in memory. */
export type RoleTensors<R extends Roles> = {
  readonly [K in keyof R]: HostTensor<NonNullable<R[K]>["dtype"]>;
};

/** Operands in a graph. */
type RoleValues<R extends Roles> = { readonly [K in keyof R]: Value };

interface RoleProduct<R extends Roles> extends Pick<Product, "binding" | "keptAs" | "unsmoothed"> {
  readonly operands: R;
  /** Writes all operands into lent memory. */
  readonly fill: (reader: TensorReader, tensors: RoleTensors<R>) => Promise<void>;
  readonly project: (x: Value, values: RoleValues<R>) => Value;
  readonly dense: (values: RoleValues<R>) => Value;
  readonly crossEntropy?: (x: Value, values: RoleValues<R>, labels: Value) => LossAndProbabilities;
}

/** Makes a product that follows the contract. */
export function roleProduct<const R extends Roles>(product: RoleProduct<R>): Product {
  const { operands, fill, project, dense, crossEntropy, ...rest } = product;
  const roles = Object.entries(operands);
  const byRole = <T>(of: (operand: OperandSpec) => T) =>
    Object.fromEntries(roles.map(([role, operand]) => [role, of(operand)]));
  const values = (bySuffix: Readonly<Record<string, Value>>) =>
    byRole(({ suffix }) => bySuffix[suffix]) as RoleValues<R>;
  return {
    ...rest,
    operands: Object.values(operands),
    prepare: async (reader, memory) => {
      const tensors = byRole(memory);
      await fill(reader, tensors as RoleTensors<R>);
      return Object.fromEntries(roles.map(([role, { suffix }]) => [suffix, tensors[role]!]));
    },
    project: (x, bySuffix) => project(x, values(bySuffix)),
    dense: (bySuffix) => dense(values(bySuffix)),
    ...(crossEntropy && {
      crossEntropy: (x, bySuffix, labels) => crossEntropy(x, values(bySuffix), labels),
    }),
  };
}
