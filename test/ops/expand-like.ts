/** @file Reference and cases of expandLike. */
import { at, build } from "./array64.ts";
import { type OpCase, type OpSuite, float, opCase, reject } from "./op-suite.ts";

type Shape = readonly (number | string)[];

const expanded = (name: string, from: Shape, to: Shape, bindings: Record<string, number> = {}): OpCase =>
  opCase(name, [float(from), float(to)], { bindings, tolerance: 0 });

export const expandLikeSuite: OpSuite = {
  op: "expandLike",
  reference: ([x, like]) => [build(like!.shape, (index) => at(x!, index))],
  differentiable: (input) => input === 0,
  cases: [
    expanded("a scalar", [], [2, 3]),
    expanded("a column", [3, 1], [3, 4]),
    expanded("a row", [4], [3, 4]),
    expanded("an inner axis", [2, 1, 3], [2, 4, 3]),
    expanded("nothing to repeat", [2, 3], [2, 3]),
    expanded("to symbols", [1, 1, 3], ["B", "T", 3], { B: 2, T: 4 }),
    expanded("to nothing", [1, 3], ["B", 3], { B: 0 }),
  ],
  rejected: [
    reject("a size that is not 1", [float([2]), float([3])]),
    reject("to fewer axes", [float([1, 3]), float([3])]),
    reject("down to 1", [float([3]), float([1])]),
  ],
  realistic: expanded("[1024, 1] to [1024, 576]", [1024, 1], [1024, 576]),
};
