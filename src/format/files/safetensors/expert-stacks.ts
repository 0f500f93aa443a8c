/**
 * @file Stacks: tensors that hold the matrices of all experts, read as a tensor for each expert N < E:
 *
 *   X.switch_mlp.Y [E, …]                  MLX's, or X.experts.switch_glu.Y X.experts.N.Y […]
 *   X.experts.gate_up_proj [E, 2F, D]      as transformers computes most    X.experts.N.gate_proj.weight, up_proj.weight [F, D]
 *   X.experts.down_proj [E, D, F]          (Granite has other names)        X.experts.N.down_proj.weight [D, F]
 *   X.experts.Y [E, in, out]               with biases beside them          X.experts.N.Y.weight [out, in]
 *   X.experts.Y_bias [E, out]                                               X.experts.N.Y.bias [out]
 *
 * The last two are of classes that store transposed experts, with gate and up as one matrix. Names and shapes do not distinguish
 * them from the two before, but only they have biases.
 */
import { FormatError } from "../../../errors.ts";
import { dimsOf, hasRank, numElements } from "../../../graph/shape.ts";
import { widen } from "../../../quant/codes/half.ts";
import { transposed } from "../../../linalg/transposed.ts";
import type { HostTensor } from "../../../runtime/host-tensor.ts";
import { MAX_EXPERTS } from "../../../untrusted/limits.ts";
import type { TensorRange } from "./safetensors-header.ts";
import { lookup } from "../lookup.ts";
import { partOf } from "../tensor-part.ts";
import type { Safetensors } from "./safetensors.ts";

const OF_MLX = /(\.switch_mlp|\.experts\.switch_glu)\./;
const WITH_BIAS = /^(?<experts>.+\.experts)\.(?<matrix>\w+_proj)(?<bias>_bias)?$/;

/** Names of stacks, and the names of the matrices of an expert in each, in the order in which they lie. */
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

/** Names that files may give to the stack of an expert's module; for another module its own name. */
export function stackNames(module: string): readonly string[] {
  const expert = /\.experts\.\d+\./;
  if (!expert.test(module)) return [module];
  return [".switch_mlp.", ".experts.switch_glu."].map((stack) => module.replace(expert, stack));
}

/** A tensor that holds several matrices. */
interface Parted {
  readonly range: TensorRange;
  /** Number of matrices per expert, one below the other. */
  readonly numCuts: number;
}

/** A stack of experts. */
interface Stack extends Parted {
  readonly nameOf: (expert: number, cut: number) => string;
  /** Whether the file has its matrices transposed. */
  readonly isTurned: boolean;
}

/** An expert's own tensor, and where it lies. */
interface StackPart {
  readonly range: TensorRange;
  readonly stack: Stack;
  readonly index: number;
}

/** Describes the stack that a tensor is; null if it is none. */
function stackOf(range: TensorRange, { tensors }: Safetensors): Stack | null {
  const { name, shape } = range;
  const whole = { range, numCuts: 1, isTurned: false };
  if (OF_MLX.test(name)) return { ...whole, nameOf: (expert) => name.replace(OF_MLX, `.experts.${expert}.`) };
  const { experts, matrix, bias } = WITH_BIAS.exec(name)?.groups ?? {};
  if (bias !== undefined && hasRank(shape, 2))
    return { ...whole, nameOf: (expert) => `${experts}.${expert}.${matrix}.bias` };
  if (!hasRank(shape, 3)) return null;
  if (matrix !== undefined && tensors.has(`${name}_bias`))
    return { ...whole, isTurned: true, nameOf: (expert) => `${experts}.${expert}.${matrix}.weight` };
  for (const [form, names] of JOINED) {
    const { prefix = "", joined = "" } = form.exec(name)?.groups ?? {};
    const matrices = lookup(names, joined);
    if (matrices === undefined || shape[1] % matrices.length !== 0) continue;
    const experts = prefix.endsWith(".experts") ? prefix : `${prefix}.experts`;
    const nameOf = (expert: number, cut: number): string => `${experts}.${expert}.${matrices[cut]}.weight`;
    return { ...whole, numCuts: matrices.length, nameOf };
  }
  return null;
}

/** Most parts of all stacks: weights, scales and biases of three matrices per expert. */
const MAX_PARTS = 9 * MAX_EXPERTS;

const numParts = ({ range, numCuts }: Parted): number => numCuts * (range.shape[0] ?? 0);

/** @throws FormatError "format/tensor" for more parts than any model has */
export function requireFew(path: string, stacks: readonly Parted[]): void {
  const sum = stacks.reduce((parts, stack) => parts + numParts(stack), 0);
  if (sum <= MAX_PARTS) return;
  throw new FormatError(
    "format/tensor",
    `Cannot read experts of "${path}": ${sum} matrices in stacks such as "${stacks[0]?.range.name}", expected at most ${MAX_PARTS}`,
    { hint: "The file is damaged: download or convert the model again." },
  );
}

/** Makes the error for a matrix that is in a stack and also has a tensor of its own. */
function thereTwice(path: string, name: string, stack: string): FormatError {
  return new FormatError(
    "format/tensor",
    `Cannot read experts of "${path}": "${name}" is part of "${stack}" and also stored separately, expected one of them`,
    { hint: "Save the model again, with each tensor once." },
  );
}

function partsOf(stack: Stack): StackPart[] {
  const { range, numCuts, nameOf, isTurned } = stack;
  return Array.from({ length: numParts(stack) }, (_, index) => {
    const { shape, ...place } = partOf(range, index, numCuts);
    const name = nameOf(Math.floor(index / numCuts), index % numCuts);
    return { range: { ...place, shape: isTurned ? shape.toReversed() : shape, name }, stack, index };
  });
}

/** Reads and transposes parts. The last one is kept, since callers read its rows some at a time. */
function turnedReader(
  read: (part: StackPart) => Promise<HostTensor>,
): (part: StackPart) => Promise<HostTensor> {
  let last: { readonly part: StackPart; readonly made: Promise<HostTensor> } | null = null;
  const turn = async (part: StackPart): Promise<HostTensor> => {
    const { dtype, shape, data } = await read(part);
    const [numRows, numColumns] = dimsOf(shape, 2);
    return { dtype, shape: part.range.shape, data: transposed(data, numRows, numColumns) };
  };
  return async (part) => {
    if (last?.part !== part) last = { part, made: turn(part) };
    const { made } = last;
    // After a failure it is read again.
    made.catch(() => (last = null));
    return await made;
  };
}

/** Returns weights with a tensor for each expert; `weights` itself if it has no stacks. @throws FormatError "format/tensor" */
export function unstacked(weights: Safetensors): Safetensors {
  const stacks = [...weights.tensors.values()].flatMap((range) => stackOf(range, weights) ?? []);
  if (stacks.length === 0) return weights;
  requireFew(weights.path, stacks);
  const parts = new Map(stacks.flatMap(partsOf).map((part) => [part.range.name, part]));
  const tensors = new Map(weights.tensors);
  for (const { range } of stacks) tensors.delete(range.name);
  for (const [name, { range, stack }] of parts) {
    if (tensors.has(name)) throw thereTwice(weights.path, name, stack.range.name);
    tensors.set(name, range);
  }
  const readPart = async ({ stack, index }: StackPart): Promise<HostTensor> =>
    await weights.read(stack.range.name, { index, numCuts: stack.numCuts });
  const readTurned = turnedReader(readPart);
  return {
    ...weights,
    tensors,
    async read(name, part) {
      const own = parts.get(name);
      if (!own) return await weights.read(name, part);
      if (!own.stack.isTurned) return await readPart(own);
      const { dtype, shape, data } = await readTurned(own);
      return { dtype, shape, data: data.slice() };
    },
    async readInto(name, into, start = 0) {
      const part = parts.get(name);
      if (!part) return await weights.readInto(name, into, start);
      const { index, range, stack } = part;
      if (stack.isTurned) {
        const { dtype, data } = await readTurned(part);
        const rows = data.subarray(start, start + into.length);
        return into.set(widen({ dtype, shape: [rows.length], data: rows }).data);
      }
      await weights.readInto(stack.range.name, into, index * numElements(range.shape) + start);
    },
    view: (name) => (parts.has(name) ? null : weights.view(name)),
  };
}
