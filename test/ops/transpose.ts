/** @file Reference and cases of transpose. */
import { at, build } from "./array64.ts";
import { type OpCase, type OpSuite, float, opCase, reject } from "./op-suite.ts";

const transposed = (
  name: string,
  shape: readonly (number | string)[],
  order: readonly number[],
  bindings: Record<string, number> = {},
): OpCase => opCase(name, [float(shape)], { attributes: { order }, bindings, tolerance: 0 });

export const transposeSuite: OpSuite = {
  op: "transpose",
  reference: ([x], attributes) => {
    const order = attributes["order"] as number[];
    const { shape } = x!;
    return [
      build(
        order.map((axis) => shape[axis]!),
        (index) =>
          at(
            x!,
            shape.map((_, axis) => index[order.indexOf(axis)]!),
          ),
      ),
    ];
  },
  differentiable: () => true,
  cases: [
    transposed("matrix", [3, 5], [1, 0]),
    transposed("three axes in a circle", [2, 3, 4], [1, 2, 0]),
    transposed("heads first", ["B", "T", 2, 3], [0, 2, 1, 3], { B: 2, T: 5 }),
    transposed("as it was", [2, 3], [0, 1]),
    transposed("sizes of 1", [1, 4, 1], [2, 1, 0]),
    transposed("no tokens", ["B", "T", 3], [1, 0, 2], { B: 2, T: 0 }),
  ],
  rejected: [
    reject("too few axes", [float([2, 3, 4])], { order: [1, 0] }),
    reject("an axis twice", [float([2, 3])], { order: [0, 0] }),
    reject("an axis that is not there", [float([2, 3])], { order: [0, 2] }),
  ],
  realistic: transposed("[4, 256, 9, 64] heads first", [4, 256, 9, 64], [0, 2, 1, 3]),
};
