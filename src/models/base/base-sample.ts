/**
 * @file A few numbers of a base model, by which it is recognised in another form: a folder in float32 or bfloat16, a GGUF file in
 * few bits.
 *
 * All forms keep vectors (norms, biases) as floats, which differ at most by rounding to 16 bits, as do matrices of floats. A
 * matrix in few bits is only sure to be closer to its own numbers than to those of a separately trained model.
 */
import { numElements } from "../../graph/shape.ts";
import { STORAGES } from "../../quant/storages.ts";
import type { BaseModel } from "./base-model.ts";

/**
 * How many vectors and how many matrices are sampled from each of the first, the middle and the last layer, and how many values of each.
 */
const NUM_TENSORS = 8;
const NUM_VALUES = 16;
/** One unit in the last place of bfloat16. */
const ROUNDING = 2 ** -7;
/** How much reading a factor 1 + w as w may change in float32. */
const EXACT = 1e-6;
/** The distance of matrices in few bits from their original is below 0.6, that of unrelated ones above 1. */
const FAR = 0.75;

export interface BaseSample {
  /** Values of norms and biases. */
  readonly vectors: Float32Array;
  readonly matrices: Float32Array;
  /** Whether any of the matrices is in few bits. */
  readonly isRounded: boolean;
}

/** Reads the sample of a base from tensors that its files have. @throws as reading tensors */
export async function sampleBase({ model, source, freshTensors }: BaseModel): Promise<BaseSample> {
  const sampled: Record<"vectors" | "matrices", number[]> = { vectors: [], matrices: [] };
  let isRounded = false;
  for (const layer of new Set([0, Math.floor(model.numLayers / 2), model.numLayers - 1])) {
    const own = [...model.tensors.values()].filter(
      (tensor) => tensor.layer === layer && !freshTensors.includes(tensor.name),
    );
    own.sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const kind of ["vectors", "matrices"] as const) {
      const ofKind = own.filter(({ shape }) => (shape.length === 1) === (kind === "vectors"));
      for (const { name, shape } of takeEvenly(ofKind, NUM_TENSORS)) {
        const width = shape.at(-1) ?? 1;
        const row = new Float32Array(width);
        await source.readInto(name, row, Math.floor(numElements(shape) / width / 3) * width);
        sampled[kind].push(...takeEvenly([...row], NUM_VALUES));
        isRounded ||= STORAGES[source.storageOf(name)].blockSize > 1;
      }
    }
  }
  const { vectors, matrices } = sampled;
  return { vectors: Float32Array.from(vectors), matrices: Float32Array.from(matrices), isRounded };
}

function takeEvenly<T>(all: readonly T[], count: number): readonly T[] {
  if (all.length <= count) return all;
  return Array.from({ length: count }, (_, i) => all[Math.floor((i * all.length) / count)] as T);
}

/** Whether two samples may be of one model; false: they are not. */
export function mayBeOneModel(a: BaseSample, b: BaseSample): boolean {
  if (!areEqual(a.vectors, b.vectors)) return false;
  if (!a.isRounded && !b.isRounded) return areEqual(a.matrices, b.matrices);
  return a.matrices.length === b.matrices.length && distance(a.matrices, b.matrices) < FAR;
}

/** Whether floats are equal, or differ only by rounding if their precisions differ. */
function areEqual(a: Float32Array, b: Float32Array): boolean {
  if (a.length !== b.length) return false;
  const relative = areBfloat16(a) === areBfloat16(b) && areFloat16(a) === areFloat16(b) ? EXACT : ROUNDING;
  return a.every((value, i) => {
    const other = b[i]!;
    return Object.is(value, other) || Math.abs(value - other) <= EXACT + relative * Math.abs(value);
  });
}

function areBfloat16(values: Float32Array): boolean {
  return new Uint32Array(values.slice().buffer).every((bits) => (bits & 0xffff) === 0);
}

/** Whether mantissas are as short as those of float16; its subnormal numbers are not considered. */
function areFloat16(values: Float32Array): boolean {
  return new Uint32Array(values.slice().buffer).every((bits) => (bits & 0x1fff) === 0);
}

/** Length of a difference, as a share of the longer of two vectors. */
function distance(a: Float32Array, b: Float32Array): number {
  const lengthOf = (values: Float32Array): number => Math.hypot(...values.filter(Number.isFinite));
  const longest = Math.max(lengthOf(a), lengthOf(b));
  return longest === 0 ? 0 : lengthOf(a.map((value, i) => value - b[i]!)) / longest;
}
