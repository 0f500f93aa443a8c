/**
 * @file Turns numbers by distance into numbers by key, and back; each is the gradient of the other.
 *
 *   y[…, i, j] = x[…, i, T + j - i]      x [A, H, T, 2T]   y [A, H, T, T]
 *
 * Joined end to end and without the first T numbers, the rows are read again as rows one number shorter: each then begins at the
 * right distance. Paper: "Transformer-XL", arXiv:1901.02860, appendix B.
 */
import { TO_THE_END, type Emitter } from "../../emitter.ts";
import { applyOne, type NoAttributes, type Op, type Value } from "../../graph.ts";
import { dimsOf, mulDims, sameShape, showShape } from "../../shape.ts";

const TOKENS = 2;
const COLUMNS = 3;

type ShiftOp = Op<NoAttributes, readonly [Value]>;

/** The number of tokens, int64 [1]. */
function emitLength(emitter: Emitter, x: string): string {
  return emitter.value("Shape", [x], { start: TOKENS, end: TOKENS + 1 });
}

/** Builds a shape that keeps the first two axes. */
function emitShape(emitter: Emitter, ...rest: readonly string[]): string {
  return emitter.value("Concat", [emitter.int64([0, 0]), ...rest], { axis: 0 });
}

export const relativeShiftOp: ShiftOp = {
  name: "relativeShift",
  infer: ([{ dtype, shape }]) => {
    const [A, H, T, numColumns] = dimsOf(shape, 4);
    if (numColumns !== mulDims(2, T))
      throw new RangeError(
        `Cannot shift ${showShape(shape)} by distances, expected twice as many columns as rows`,
      );
    return [{ dtype, shape: [A, H, T, T] }];
  },
  emit: ({ inputs, outputs }, emitter) => {
    const [x] = emitter.names(inputs);
    const length = emitLength(emitter, x);
    const flat = emitter.value("Reshape", [x, emitter.int64([0, 0, -1])]);
    const end = emitter.int64([TO_THE_END]);
    const rest = emitter.value("Slice", [flat, length, end, emitter.int64([TOKENS])]);
    const rows = emitter.value("Reshape", [rest, emitShape(emitter, length, emitter.int64([-1]))]);
    const range = [emitter.int64([0]), length, emitter.int64([COLUMNS])];
    emitter.node("Slice", [rows, ...range], emitter.names(outputs));
  },
  vjp: (_node, [gradient]) => [applyOne(relativeUnshiftOp, [gradient], {})],
};

export const relativeUnshiftOp: ShiftOp = {
  name: "relativeUnshift",
  infer: ([{ dtype, shape }]) => {
    const [A, H, T, numColumns] = dimsOf(shape, 4);
    if (!sameShape([numColumns], [T]))
      throw new RangeError(`Cannot shift ${showShape(shape)} to distances, expected as many columns as rows`);
    return [{ dtype, shape: [A, H, T, mulDims(2, T)] }];
  },
  emit: ({ inputs, outputs }, emitter) => {
    const [y] = emitter.names(inputs);
    const length = emitLength(emitter, y);
    const pads = (before: string, behind: string): string =>
      emitter.value("Concat", [before, behind], { axis: 0 });
    const pad = (x: string, amounts: string, axis: number): string =>
      emitter.value("Pad", [x, amounts, emitter.scalar(0), emitter.int64([axis])]);
    const none = emitter.int64([0]);
    const columns = pad(y, pads(none, emitter.value("Sub", [length, emitter.int64([1])])), COLUMNS);
    const flat = emitter.value("Reshape", [columns, emitter.int64([0, 0, -1])]);
    const whole = pad(flat, pads(length, none), TOKENS);
    const shape = emitShape(emitter, length, emitter.int64([-1]));
    emitter.node("Reshape", [whole, shape], emitter.names(outputs));
  },
  vjp: (_node, [gradient]) => [relativeShift(gradient)],
};

/** Turns numbers by the distance of a key from a query, [A, H, T, 2T], into numbers by key, [A, H, T, T]. */
export function relativeShift(x: Value): Value {
  return applyOne(relativeShiftOp, [x], {});
}
