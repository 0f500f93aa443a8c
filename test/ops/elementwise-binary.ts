/** @file References and cases of add, sub, mul and div. */
import { at, broadcastShape, build } from "./array64.ts";
import {
  type Draw,
  type OpSuite,
  awayFromZero,
  float,
  int64,
  integers,
  normal,
  opCase,
  reject,
} from "./op-suite.ts";

function binarySuite(op: string, f: (a: number, b: number) => number, second: Draw): OpSuite {
  const pair = (a: readonly (number | string)[], b: readonly (number | string)[]) =>
    [float(a), float(b, second)] as const;
  return {
    op,
    reference: ([a, b]) => {
      const [x, y] = [a!, b!];
      if (x.shape.join() === y.shape.join()) {
        return [{ shape: x.shape, data: x.data.map((value, i) => f(value, y.data[i]!)) }];
      }
      return [build(broadcastShape(x.shape, y.shape), (index) => f(at(x, index), at(y, index)))];
    },
    differentiable: () => true,
    cases: [
      opCase("equal shapes", pair([3, 5], [3, 5])),
      opCase("scalars", pair([], [])),
      opCase("scalar on the left", pair([], [4, 3])),
      opCase("scalar on the right", pair([4, 3], [])),
      opCase("row over a matrix", pair([4, 3], [3])),
      opCase("column over a matrix", pair([4, 1], [4, 3])),
      opCase("both sides grow", pair([2, 1, 3], [5, 1])),
      opCase("sizes of 1 on both sides", pair([1, 1, 3], [2, 1, 3])),
      opCase("symbolic sizes", pair(["B", "T", 4], ["T", 1]), { bindings: { B: 2, T: 3 } }),
      opCase("no elements", pair(["B", 4], ["B", 1]), { bindings: { B: 0 } }),
      opCase("no elements against a row", pair(["B", 4], [4]), { bindings: { B: 0 } }),
    ],
    rejected: [
      reject("sizes that differ", pair([2, 3], [2, 4])),
      reject("symbols that differ", pair(["B"], ["T"])),
      reject("element types that differ", [float([2]), int64([2], integers(3))]),
    ],
    realistic: opCase("[1024, 1536]", pair([1024, 1536], [1024, 1536])),
  };
}

export const addSuite = binarySuite("add", (a, b) => a + b, normal());
export const subSuite = binarySuite("sub", (a, b) => a - b, normal());
export const mulSuite = binarySuite("mul", (a, b) => a * b, normal());
export const divSuite = binarySuite("div", (a, b) => a / b, awayFromZero(0.5, 3));
