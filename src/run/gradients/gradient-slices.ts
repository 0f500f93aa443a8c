/** @file Where the gradients of parameters lie: each in one piece, or, of a large table, in slices of its rows. */
import { sizeAt } from "../../graph/shape.ts";
import { type Parameter, type ParameterGroup, lengthOf } from "../../peft/parameters.ts";
import { type HostTensor, hostTensor } from "../../runtime/host-tensor.ts";
import type { PartedVector, PartStretch } from "../../runtime/memory/parted-vector.ts";
import type { Use } from "../../runtime/memory/vector-memory.ts";

/** Some rows of the gradient of one parameter, or all of it. */
export interface GradientSlice {
  /** The number of its first row. */
  readonly from: number;
  readonly view: HostTensor<"float32">;
  /** The memory of the rows as [N]. */
  readonly flat: HostTensor<"float32">;
  /** The part that it shares with other slices. */
  readonly part: GradientPart;
  isWritten: boolean;
}

/** Gradients side by side in one piece of memory. */
export interface GradientPart {
  readonly memory: Float32Array;
  /** Slices in the order in which they lie in memory. */
  readonly slices: GradientSlice[];
  /** Sum of the squares of those that are written; null: not known. */
  squares: number | null;
}

/** Where the gradient of one parameter lies: in one piece, or in slices of its rows. */
export type Slot = readonly GradientSlice[];

/** Which parameters lie in slices, and of how many rows. */
export interface Slicing {
  readonly numRows: number;
  isSliced(parameter: Pick<Parameter, "layer" | "input">): boolean;
}

/** Every gradient lies in one piece. */
export const UNSLICED: Slicing = { numRows: 1, isSliced: () => false };

/** Whether all of a gradient has been written. */
export function isWhole(slot: Slot): boolean {
  return slot.every(({ isWritten }) => isWritten);
}

/** What is done with a slice that is written or added to. */
export function useOf({ isWritten }: GradientSlice): Use {
  return isWritten ? "change" : "overwrite";
}

/** Where the parts of a group's gradients end: slices of tables, and whatever lies between tables together. */
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

/** The slices of a parameter's gradient, by the parts in which it lies; adds them to the parts. */
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

/** The written gradients of a part: all of it, or one after another. */
export function writtenVectors({ memory, slices }: GradientPart): readonly Float32Array[] {
  const written = slices.filter(({ isWritten }) => isWritten);
  return written.length === slices.length ? [memory] : written.map(({ flat }) => flat.data);
}

/** The numbers of a stretch. */
function viewOf({ part, start, from, to }: PartStretch): Float32Array {
  return new Float32Array(part.buffer, part.byteOffset + 4 * (from - start), to - from);
}
