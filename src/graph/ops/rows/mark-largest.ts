/** @file Marks the k largest of each row of x [M, N] with 1, the others with 0: [M, N]. A choice has no gradient. */
import type { Emitter } from "../../emitter.ts";
import { applyOne, type Op, type Value } from "../../graph.ts";
import { showShape } from "../../shape.ts";

export const markLargestOp: Op<Readonly<{ k: number }>, readonly [x: Value]> = {
  name: "markLargest",
  infer: ([{ dtype, shape }], { k }) => {
    const [, N] = shape;
    if (shape.length !== 2 || typeof N !== "number" || k < 1 || k > N) {
      throw new RangeError(`Cannot choose ${k} columns of ${showShape(shape)}`);
    }
    return [{ dtype, shape }];
  },
  emit: ({ inputs, outputs, attributes: { k } }, emitter) => {
    const [x] = emitter.names(inputs);
    const [marks] = emitter.names(outputs);
    emitMarks(emitter, { x, shape: emitter.value("Shape", [x]), k }, marks);
  },
  vjp: () => [null],
};

/** Writes the nodes that mark the k largest of each row of x. */
export function emitMarks(
  emitter: Emitter,
  { x, shape, k }: { readonly x: string; readonly shape: string; readonly k: number },
  marks: string,
): void {
  const [values, columns] = [emitter.temporary(), emitter.temporary()];
  emitter.node("TopK", [x, emitter.int64([k])], [values, columns], { axis: 1, sorted: 0 });
  const ones = emitter.value("Expand", [emitter.scalar(1), emitter.value("Shape", [columns])]);
  const zeros = emitter.value("Expand", [emitter.scalar(0), shape]);
  emitter.node("ScatterElements", [zeros, columns, ones], [marks], { axis: 1 });
}

/** Marks the k largest of each row of x [M, N]. */
export function markLargest(x: Value, k: number): Value {
  return applyOne(markLargestOp, [x], { k });
}
