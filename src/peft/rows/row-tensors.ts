/** @file Writes the tensors of an adapter into one row of larger tensors, padded with zeros. */
import { dimsOf, numElements, sizeAt } from "../../graph/shape.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import type { RowForm } from "../contract/batch-rule.ts";
import type { SiteTensors } from "../sites/site.ts";

/** A tensor's suffix, and its shape in a row. */
export type SuffixShape = readonly [suffix: string, shape: readonly number[]];

/** Returns the shapes of a form's tensors in a row. */
export function shapesOf({ tensors, turned }: RowForm<unknown>): SuffixShape[] {
  return Object.entries(tensors).map(([suffix, { shape }]) => [
    suffix,
    turned && suffix in turned ? shape.toReversed() : shape,
  ]);
}

/** Writes a form into its row of the tensors of a place, [rows, ...] each. */
export function fillRow({ tensors: own, turned }: RowForm<unknown>, rows: SiteTensors, row: number): void {
  for (const [suffix, { shape, data }] of Object.entries(rows)) {
    const size = numElements(shape.slice(1));
    const into = data.subarray(row * size, (row + 1) * size);
    const tensor = own[suffix];
    if (tensor?.data.length !== size) into.fill(0);
    const factor = turned?.[suffix];
    if (tensor && factor) copyTurned(tensor, factor, into, sizeAt(shape, -1));
    else if (tensor) copyInto(tensor, into, shape.slice(1));
  }
}

/** Copies a tensor to the beginning of each axis of a larger one. */
function copyInto(
  { shape: from, data }: HostTensor<"float32">,
  to: Float32Array,
  shape: readonly number[],
): void {
  const width = from.at(-1) ?? 1;
  for (let start = 0; start < data.length; start += width) {
    let [rest, place, stride] = [start / width, 0, shape.at(-1) ?? 1];
    for (let axis = from.length - 2; axis >= 0; axis--) {
      const size = sizeAt(from, axis);
      place += (rest % size) * stride;
      stride *= sizeAt(shape, axis);
      rest = Math.floor(rest / size);
    }
    to.set(data.subarray(start, start + width), place);
  }
}

/**
 * Copies a tensor [n, m], each line times its factor, transposed to the beginning of each axis of a larger one whose lines have
 * `width` elements.
 */
function copyTurned(
  { shape, data }: HostTensor<"float32">,
  factor: (line: number) => number,
  to: Float32Array,
  width: number,
): void {
  const [numLines, numColumns] = dimsOf(shape, 2);
  for (let line = 0; line < numLines; line++) {
    const times = factor(line);
    for (let column = 0; column < numColumns; column++) {
      to[column * width + line] = times * data[line * numColumns + column]!;
    }
  }
}
