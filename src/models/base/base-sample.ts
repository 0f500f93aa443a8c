/**
 * @file A few numbers of a base model, by which it is known again in another form of its files: a folder in float32 or
 * bfloat16, a GGUF file in few bits.
 *
 * All forms keep vectors (norms, biases) as floats, which differ by rounding to 16 bits at most, and so do matrices of floats.
 * Of a matrix in few bits only this is sure: it is nearer to its own numbers than to those of another training from the start.
 */
import { numElements } from "../../graph/shape.ts";
import { STORAGES } from "../../quant/storages.ts";
import type { BaseModel } from "./base-model.ts";

/**
 * How many vectors and matrices are sampled from the first layer, one in the middle and the last, and how many values of
 * each.
 */
const NUM_TENSORS = 8;
const NUM_VALUES = 16;
/** One unit in the last place of bfloat16. */
const ROUNDING = 2 ** -7;
/** What reading a factor 1 + w as w may change in float32. */
const EXACT = 1e-6;
/** Matrices in few bits lie below 0.6 from their own numbers, those that have nothing to do with each other above 1. */
const FAR = 0.75;

export interface BaseSample {
  /** Values of norms and biases. */
  readonly vectors: Float32Array;
  readonly matrices: Float32Array;
  /** Whether one of the matrices is in few bits. */
  readonly isRounded: boolean;
}

/** Reads the sample of a base, of what its files have. @throws as reading tensors */
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

/** Whether floats are equal, but for the rounding of one of the two where their precisions differ. */
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

/** Whether mantissas end as those of float16 do, the small numbers of that type aside. */
function areFloat16(values: Float32Array): boolean {
  return new Uint32Array(values.slice().buffer).every((bits) => (bits & 0x1fff) === 0);
}

/** Length of a difference, as a share of the longer of two vectors. */
function distance(a: Float32Array, b: Float32Array): number {
  const lengthOf = (values: Float32Array): number => Math.hypot(...values.filter(Number.isFinite));
  const longest = Math.max(lengthOf(a), lengthOf(b));
  return longest === 0 ? 0 : lengthOf(a.map((value, i) => value - b[i]!)) / longest;
}
