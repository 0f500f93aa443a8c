/** @file Reverse-mode differentiation: adds the gradient computation of a function to its graph. */
import type { Value } from "./graph.ts";
import { add } from "./ops/pointwise/elementwise.ts";
import { sameShape, showShape } from "./shape.ts";

/** A value together with the gradient that flows into it from outside. */
export interface Seed {
  readonly value: Value;
  readonly gradient: Value;
}

/**
 * Adds the gradients of `sum over seeds of <value, gradient>` with respect to the given values.
 * Returns them in the same order; null where a value has no influence.
 * @throws TypeError when an operation on the way is not differentiable.
 */
export function gradients(seeds: readonly Seed[], wrt: readonly Value[]): (Value | null)[] {
  const adjoint = new Map<Value, Value>();
  const accumulate = (value: Value, gradient: Value): void => {
    if (!sameShape(value.shape, gradient.shape)) {
      throw new RangeError(
        `Cannot add gradient ${showShape(gradient.shape)} to ${showShape(value.shape)} made by ${value.node?.op.name ?? value.name}`,
      );
    }
    const sum = adjoint.get(value);
    adjoint.set(value, sum ? add(sum, gradient) : gradient);
  };
  for (const { value, gradient } of seeds) accumulate(value, gradient);
  const wanted = influencedBy(seeds, wrt);
  // A node's outputs have larger ids than its inputs, so this order is a reverse topological one.
  const order = [...wanted].filter((v) => v.node).sort((a, b) => b.id - a.id);
  const done = new Set();
  for (const { node } of order) {
    if (!node || done.has(node) || !node.inputs.some((input) => wanted.has(input))) continue;
    done.add(node);
    const outputs = node.outputs.map((v) => adjoint.get(v) ?? null);
    if (outputs.every((g) => g === null)) continue;
    if (node.op.vjp === "not-differentiable") {
      throw new TypeError(`Cannot differentiate ${node.op.name}: it has no gradient`);
    }
    const found = node.op.vjp(node, outputs);
    for (const [i, input] of node.inputs.entries()) {
      const gradient = found[i];
      if (gradient && wanted.has(input)) accumulate(input, gradient);
    }
  }
  return wrt.map((value) => adjoint.get(value) ?? null);
}

/** The values between `wrt` and the seeds: only they need gradients. */
function influencedBy(seeds: readonly Seed[], wrt: readonly Value[]): Set<Value> {
  const targets = new Set(wrt);
  const memo = new Map<Value, boolean>();
  const reaches = (value: Value): boolean => {
    const known = memo.get(value);
    if (known !== undefined) return known;
    const result = [...(value.node?.inputs ?? [])].map(reaches).some(Boolean) || targets.has(value);
    memo.set(value, result);
    return result;
  };
  for (const { value } of seeds) reaches(value);
  return new Set([...memo].filter(([, yes]) => yes).map(([value]) => value));
}
