/** @file Where the gradients of parameters lie: each in one piece, or, for a large table, in slices of its rows. */
import { sizeAt } from "../../graph/shape.ts";
import { type Parameter, type ParameterGroup, lengthOf } from "../../peft/parameters.ts";
import { type HostTensor, hostTensor } from "../../runtime/host-tensor.ts";
import type { PartedVector, PartStretch } from "../../runtime/memory/parted-vector.ts";
import type { Use } from "../../runtime/memory/vector-memory.ts";

/** Some or all rows of the gradient of one parameter. */
export interface GradientSlice {
  /** Number of its first row. */
  readonly from: number;
  readonly view: HostTensor<"float32">;
  /** The same numbers as [N]. */
  readonly flat: HostTensor<"float32">;
  /** The part that contains it, maybe with other slices. */
  readonly part: GradientPart;
  isWritten: boolean;
}

/** Gradients next to each other in one piece of memory. */
export interface GradientPart {
  readonly memory: Float32Array;
  /** Slices in memory order. */
  readonly slices: GradientSlice[];
  /** Sum of the squares of the written slices; null: not known. */
  squares: number | null;
}

/** The slices of one parameter's gradient; a single one if it lies in one piece. */
export type Slot = readonly GradientSlice[];

/** Which parameters are split into slices, and how many rows a slice has. */
export interface Slicing {
  readonly numRows: number;
  isSliced(parameter: Pick<Parameter, "layer" | "input">): boolean;
}

/** No gradient is split. */
export const UNSLICED: Slicing = { numRows: 1, isSliced: () => false };

/** Whether all of a gradient has been written. */
export function isWhole(slot: Slot): boolean {
  return slot.every(({ isWritten }) => isWritten);
}

/** How a slice is used when it is written or added to. */
export function useOf({ isWritten }: GradientSlice): Use {
  return isWritten ? "change" : "overwrite";
}

/** Where the parts of a group's gradients end: each slice of a table is a part, and all that lies between two tables is one. */
export function endsOf({ parameters }: ParameterGroup, slicing: Slicing): number[] {
  const ends = new Set<number>();
  for (const parameter of parameters) {
    const { offset, length } = parameter;
    if (!slicing.isSliced(parameter)) continue;
    if (offset > 0) ends.add(offset);
    const step = slicing.numRows * sizeAt(parameter.shape, 1);
    for (let end = step; end < length; end += step) ends.add(offset + end);
    ends.add(offset + length);
  }
  return [...ends.add(lengthOf({ parameters }))].sort((a, b) => a - b);
}

/** Makes the slices of a parameter's gradient from the parts in which it lies, and adds them to these. */
export function cutSlot(
  { shape, offset, length }: Parameter,
  values: PartedVector,
  parts: ReadonlyMap<Float32Array, GradientPart>,
): Slot {
  const [numRows = 1, ...rest] = shape;
  const rowLength = length / numRows;
  return values.stretches(offset, offset + length).map((stretch) => {
    const data = viewOf(stretch);
    const rows = data.length / rowLength;
    const part = parts.get(stretch.part)!;
    const slice = {
      from: (stretch.from - offset) / rowLength,
      view: hostTensor("float32", shape.length === 0 ? [] : [rows, ...rest], data),
      flat: hostTensor("float32", [data.length], data),
      part,
      isWritten: false,
    };
    part.slices.push(slice);
    return slice;
  });
}

/** The written gradients of a part: the whole part, or several vectors. */
export function writtenVectors({ memory, slices }: GradientPart): readonly Float32Array[] {
  const written = slices.filter(({ isWritten }) => isWritten);
  return written.length === slices.length ? [memory] : written.map(({ flat }) => flat.data);
}

/** The numbers of a stretch. */
function viewOf({ part, start, from, to }: PartStretch): Float32Array {
  return new Float32Array(part.buffer, part.byteOffset + 4 * (from - start), to - from);
}
