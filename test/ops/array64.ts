/** @file Arrays of float64 with a shape, row-major: what the reference of each operation computes on. */

export interface Array64 {
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

/** Counts the elements of a shape. */
export function count(shape: readonly number[]): number {
  return shape.reduce((product, n) => product * n, 1);
}

/** Makes an array by asking for the element at every index, in row-major order. */
export function build(shape: readonly number[], element: (index: readonly number[]) => number): Array64 {
  const data = new Float64Array(count(shape));
  const index = shape.map(() => 0);
  for (let i = 0; i < data.length; i++) {
    data[i] = element(index);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index[axis] = (index[axis] ?? 0) + 1;
      if (index[axis] !== shape[axis]) break;
      index[axis] = 0;
    }
  }
  return { shape, data };
}

/** Reads one element. An index longer than the shape is aligned at its end, and axes of size 1 repeat (broadcasting). */
export function at(x: Array64, index: readonly number[]): number {
  const lead = index.length - x.shape.length;
  let offset = 0;
  for (let axis = 0; axis < x.shape.length; axis++) {
    const size = x.shape[axis]!;
    const i = size === 1 ? 0 : index[lead + axis]!;
    if (i >= size) throw new RangeError(`index ${i} of an axis of size ${size}`);
    offset = offset * size + i;
  }
  return x.data[offset]!;
}

/** Applies a function to every element. */
export function map(x: Array64, f: (value: number) => number): Array64 {
  return { shape: x.shape, data: x.data.map(f) };
}

/** The shape of two broadcast together. */
export function broadcastShape(a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  const size = (shape: readonly number[], i: number): number => shape[shape.length - rank + i] ?? 1;
  return Array.from({ length: rank }, (_, i) => (size(a, i) === 1 ? size(b, i) : size(a, i)));
}

/** Calls `visit` with every index of a shape; the array passed is a copy. */
export function eachIndex(shape: readonly number[], visit: (index: number[]) => void): void {
  build(shape, (index) => {
    visit([...index]);
    return 0;
  });
}

/** Writes one element. */
export function put(x: Array64, index: readonly number[], value: number): void {
  x.data[index.reduce((offset, i, axis) => offset * x.shape[axis]! + i, 0)] = value;
}
