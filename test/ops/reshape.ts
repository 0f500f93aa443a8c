/** @file Reference and cases of reshape. */
import { type Bindings, evaluateShape, numElements, type Shape } from "../../src/graph/shape.ts";
import { type OpCase, type OpSuite, float, opCase, reject } from "./op-suite.ts";

const reshaped = (name: string, from: Shape, to: Shape, bindings: Record<string, number> = {}): OpCase =>
  opCase(name, [float(from)], { attributes: { shape: to }, bindings, tolerance: 0 });

/** A shape in numbers; of a size that only a run tells, the rows of an expert, what is left for it. */
function sizesOf(shape: Shape, bindings: Bindings, numAll: number): number[] {
  const isTold = (dim: Shape[number]): boolean => typeof dim === "number" || !/part\d+of/.test(dim);
  const left = numAll / numElements(evaluateShape(shape.filter(isTold), bindings));
  return shape.map((dim) => (isTold(dim) ? evaluateShape([dim], bindings)[0]! : left));
}

export const reshapeSuite: OpSuite = {
  op: "reshape",
  reference: ([x], attributes, bindings) => [
    { shape: sizesOf(attributes["shape"] as Shape, bindings, x!.data.length), data: x!.data },
  ],
  differentiable: () => true,
  cases: [
    reshaped("joins axes", [2, 3, 4], [6, 4]),
    reshaped("splits an axis", [6, 4], [2, 3, 4]),
    reshaped("to a scalar", [1, 1], []),
    reshaped("from a scalar", [], [1, 1]),
    reshaped("drops an axis of size 1", [3, 1, 2], [3, 2]),
    reshaped("splits heads", ["B", "T", 6], ["B", "T", 2, 3], { B: 2, T: 5 }),
    reshaped("joins heads", ["B", "T", 2, 3], ["B", "T", 6], { B: 2, T: 5 }),
    reshaped("no tokens", ["B", "T", 6], ["B", "T", 2, 3], { B: 2, T: 0 }),
    reshaped("joins symbols", ["B", "T", 4], ["B*T", 4], { B: 2, T: 3 }),
    reshaped("moves a symbol", ["T", 2, 3], [2, "T", 3], { T: 4 }),
  ],
  rejected: [
    reject("another number of elements", [float([2, 3])], { shape: [5] }),
    reject("another symbol", [float(["B", 3])], { shape: ["T", 3] }),
  ],
  realistic: reshaped("[4, 256, 576] to heads", [4, 256, 576], [4, 256, 9, 64]),
};

export const reshapeLikeSuite: OpSuite = {
  op: "reshapeLike",
  reference: ([x, like]) => [{ shape: like!.shape, data: x!.data }],
  differentiable: (input) => input === 0,
  cases: [
    opCase("two sizes that nobody knows", [float(["B*T", 4]), float(["B", "T", 4])], {
      bindings: { B: 2, T: 3 },
      tolerance: 0,
    }),
    opCase("known sizes", [float([6, 4]), float([2, 12])], { tolerance: 0 }),
  ],
  rejected: [reject("another number of elements", [float([2, 3]), float([5])])],
  realistic: opCase("[1024, 576] to rows", [float(["B*T", 576]), float(["B", "T", 576])], {
    bindings: { B: 4, T: 256 },
  }),
};
