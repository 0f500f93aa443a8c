/**
 * @file Matrices of all experts in one tensor. MLX keeps them so: `X.switch_mlp.Y` [E, …] stands for `X.experts.N.Y` […], N < E.
 * Some folders do as transformers computes, `X.experts.gate_up_proj` [E, 2F, D], or by other names: gate and up of an expert lie one
 * below the other.
 */
import { FormatError } from "../../../errors.ts";
import { numElements } from "../../../graph/shape.ts";
import { MAX_EXPERTS } from "../../../untrusted/limits.ts";
import type { TensorRange } from "./safetensors-header.ts";
import { lookup } from "../lookup.ts";
import { partOf } from "../tensor-part.ts";
import type { Safetensors } from "./safetensors.ts";

const STACK = /\.switch_mlp\./;

/** Names of tensors that hold the matrices of all experts: what precedes those of an expert, and what they are called. */
const JOINED: readonly (readonly [name: RegExp, matrices: Readonly<Record<string, readonly string[]>>])[] = [
  [
    /^(?<prefix>.*\.experts)\.(?<joined>\w+)$/,
    { gate_up_proj: ["gate_proj", "up_proj"], down_proj: ["down_proj"] },
  ],
  [
    /^(?<prefix>.*\.block_sparse_moe)\.(?<joined>\w+)\.weight$/,
    { input_linear: ["gate_proj", "up_proj"], output_linear: ["down_proj"] },
  ],
];

/** What files call the module of an expert that lies in a stack. */
export function stackName(module: string): string {
  return module.replace(/\.experts\.\d+\./, ".switch_mlp.");
}

/** A tensor that holds others, and what they are called, in the order in which they lie. */
interface Stack {
  readonly range: TensorRange;
  /** Matrices of an expert, one below the other. */
  readonly numCuts: number;
  readonly nameOf: (expert: number, cut: number) => string;
}

/** An expert's own tensor, and where it lies. */
interface StackPart {
  readonly range: TensorRange;
  readonly stack: Stack;
  readonly index: number;
}

/** What a tensor holds; null: it is no stack. */
function stackOf(range: TensorRange): Stack | null {
  const { name, shape } = range;
  if (STACK.test(name)) {
    return { range, numCuts: 1, nameOf: (expert) => name.replace(STACK, `.experts.${expert}.`) };
  }
  for (const [form, names] of JOINED) {
    const { prefix = "", joined = "" } = form.exec(name)?.groups ?? {};
    const matrices = lookup(names, joined);
    if (matrices === undefined || shape.length !== 3 || shape[1]! % matrices.length !== 0) continue;
    const experts = prefix.endsWith(".experts") ? prefix : `${prefix}.experts`;
    const nameOf = (expert: number, cut: number): string => `${experts}.${expert}.${matrices[cut]}.weight`;
    return { range, numCuts: matrices.length, nameOf };
  }
  return null;
}

/** Weights, scales and biases of three matrices. */
const MAX_PARTS = 9 * MAX_EXPERTS;

const numParts = ({ range, numCuts }: Stack): number => numCuts * (range.shape[0] ?? 0);

/** @throws FormatError "format/tensor" for experts without number */
function requireFew(path: string, stacks: readonly Stack[]): void {
  const sum = stacks.reduce((parts, stack) => parts + numParts(stack), 0);
  if (sum <= MAX_PARTS) return;
  throw new FormatError(
    "format/tensor",
    `Cannot read experts of "${path}": ${sum} matrices in stacks such as "${stacks[0]?.range.name}", expected at most ${MAX_PARTS}`,
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

function partsOf(stack: Stack): StackPart[] {
  const { range, numCuts, nameOf } = stack;
  return Array.from({ length: numParts(stack) }, (_, index) => ({
    range: { ...partOf(range, index, numCuts), name: nameOf(Math.floor(index / numCuts), index % numCuts) },
    stack,
    index,
  }));
}

/** Weights with a tensor for each expert; the very same where there are no stacks. @throws FormatError "format/tensor" */
export function unstacked(weights: Safetensors): Safetensors {
  const stacks = [...weights.tensors.values()].flatMap((range) => stackOf(range) ?? []);
  if (stacks.length === 0) return weights;
  requireFew(weights.path, stacks);
  const parts = new Map(stacks.flatMap(partsOf).map((part) => [part.range.name, part]));
  const tensors = new Map(weights.tensors);
  for (const { range } of stacks) tensors.delete(range.name);
  for (const [name, { range, stack }] of parts) {
    if (tensors.has(name)) throw thereTwice(weights.path, name, stack.range.name);
    tensors.set(name, range);
  }
  return {
    ...weights,
    tensors,
    async read(name) {
      const part = parts.get(name);
      if (!part) return await weights.read(name);
      const { index, stack } = part;
      return await weights.read(stack.range.name, { index, numCuts: stack.numCuts });
    },
    async readInto(name, into, start = 0) {
      const part = parts.get(name);
      if (!part) return await weights.readInto(name, into, start);
      const { index, range, stack } = part;
      await weights.readInto(stack.range.name, into, index * numElements(range.shape) + start);
    },
    view: (name) => (parts.has(name) ? null : weights.view(name)),
  };
}
