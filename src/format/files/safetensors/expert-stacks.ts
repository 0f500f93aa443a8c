/**
 * @file Matrices of all experts in one tensor, as MLX keeps them: `X.switch_mlp.Y` [E, …] stands for `X.experts.N.Y` […], N < E.
 */
import { FormatError } from "../../../errors.ts";
import { numElements } from "../../../graph/shape.ts";
import { MAX_EXPERTS } from "../../../untrusted/limits.ts";
import type { TensorRange } from "./safetensors-header.ts";
import { partOf } from "../tensor-part.ts";
import type { Safetensors } from "./safetensors.ts";

const STACK = /\.switch_mlp\./;

/** What files call the module of an expert that lies in a stack. */
export function stackName(module: string): string {
  return module.replace(/\.experts\.\d+\./, ".switch_mlp.");
}

/** An expert's own tensor, and where it lies. */
interface StackPart {
  readonly range: TensorRange;
  readonly stack: string;
  readonly index: number;
}

/** Weights, scales and biases of three matrices. */
const MAX_PARTS = 9 * MAX_EXPERTS;

const numParts = ({ shape: [count = 0] }: TensorRange): number => count;

/** @throws FormatError "format/tensor" for experts without number */
function requireFew(path: string, stacks: readonly TensorRange[]): void {
  const sum = stacks.reduce((parts, stack) => parts + numParts(stack), 0);
  if (sum <= MAX_PARTS) return;
  throw new FormatError(
    "format/tensor",
    `Cannot read experts of "${path}": ${sum} matrices in stacks such as "${stacks[0]?.name}", expected at most ${MAX_PARTS}`,
    { hint: "The file is damaged: download or convert the model again." },
  );
}

/** The error for an expert of a stack that has a tensor of its own too. */
function thereTwice(path: string, name: string, stack: string): FormatError {
  return new FormatError(
    "format/tensor",
    `Cannot read experts of "${path}": "${name}" is a part of "${stack}" and there by itself, expected one of them`,
    { hint: "Save the model again, with each tensor once." },
  );
}

function partsOf(stack: TensorRange): StackPart[] {
  return Array.from({ length: numParts(stack) }, (_, index) => ({
    range: { ...partOf(stack, index), name: stack.name.replace(STACK, `.experts.${index}.`) },
    stack: stack.name,
    index,
  }));
}

/** Weights with a tensor for each expert; the very same where there are no stacks. @throws FormatError "format/tensor" */
export function unstacked(weights: Safetensors): Safetensors {
  const stacks = [...weights.tensors.values()].filter(({ name }) => STACK.test(name));
  if (stacks.length === 0) return weights;
  requireFew(weights.path, stacks);
  const parts = new Map(stacks.flatMap(partsOf).map((part) => [part.range.name, part]));
  const tensors = new Map(weights.tensors);
  for (const { name } of stacks) tensors.delete(name);
  for (const [name, { range, stack }] of parts) {
    if (tensors.has(name)) throw thereTwice(weights.path, name, stack);
    tensors.set(name, range);
  }
  return {
    ...weights,
    tensors,
    async read(name) {
      const part = parts.get(name);
      return part ? await weights.read(part.stack, part.index) : await weights.read(name);
    },
    async readInto(name, into, start = 0) {
      const part = parts.get(name);
      if (!part) return await weights.readInto(name, into, start);
      await weights.readInto(part.stack, into, part.index * numElements(part.range.shape) + start);
    },
    view: (name) => (parts.has(name) ? null : weights.view(name)),
  };
}
