/** @file References and cases of what is told by the distances of keys from queries. */
import { at, build } from "./array64.ts";
import { type OpCase, type OpSuite, float, int64, opCase, reject } from "./op-suite.ts";

const shifted = (name: string, shape: readonly (number | string)[], bindings = {}): OpCase =>
  opCase(name, [float(shape)], { tolerance: 0, bindings });

const SYMBOLS = { B: 2, T: 4 };

export const relativeShiftSuite: OpSuite = {
  op: "relativeShift",
  reference: ([x]) => {
    const [A, H, T] = x!.shape as [number, number, number];
    return [build([A, H, T, T], ([a, h, i, j]) => at(x!, [a!, h!, i!, T + j! - i!]))];
  },
  differentiable: () => true,
  cases: [
    shifted("several tokens", [2, 3, 4, 8]),
    shifted("one token", [2, 1, 1, 2]),
    shifted("symbolic", ["B", 2, "T", "2*T"], SYMBOLS),
  ],
  rejected: [
    reject("as many columns as rows", [float([2, 3, 4, 4])]),
    reject("three axes", [float([3, 4, 8])]),
  ],
  realistic: shifted("[8, 12, 128, 256]", [8, 12, 128, 256]),
};

export const relativeUnshiftSuite: OpSuite = {
  op: "relativeUnshift",
  reference: ([y]) => {
    const [A, H, T] = y!.shape as [number, number, number];
    return [
      build([A, H, T, 2 * T], ([a, h, i, column]) => {
        const j = column! - T + i!;
        return j >= 0 && j < T ? at(y!, [a!, h!, i!, j]) : 0;
      }),
    ];
  },
  differentiable: () => true,
  cases: [
    shifted("several tokens", [2, 3, 4, 4]),
    shifted("one token", [2, 1, 1, 1]),
    shifted("symbolic", ["B", 2, "T", "T"], SYMBOLS),
  ],
  rejected: [reject("more columns than rows", [float([2, 3, 4, 8])])],
  realistic: shifted("[8, 12, 128, 128]", [8, 12, 128, 128]),
};

const COUNTING = int64([6], (_random, place) => 10 * place);
const exact = { tolerance: 0 };
const DISTANCES: readonly OpCase[] = [
  opCase("fewer distances than there are", [COUNTING, float([2, 2, 3])], exact),
  opCase("more distances than there are", [COUNTING, float([1, 5])], exact),
  opCase("symbolic", [COUNTING, float(["B", "T", 3])], { ...exact, bindings: SYMBOLS }),
];
const NO_DISTANCES = [
  reject("an odd size", [int64([5], () => 0), float([2, 2])]),
  reject("floats", [float([4]), float([2, 2])]),
];
const REALISTIC = opCase("1,024 distances", [int64([1024], () => 1), float([8, 128, 768])], exact);

export const distanceRowsSuite: OpSuite = {
  op: "distanceRows",
  reference: ([numbers, x]) => {
    const [size, T] = [numbers!.shape[0]!, x!.shape[1]!];
    return [
      build([2 * T], ([place]) => at(numbers!, [Math.min(Math.max(place! - T + size / 2, 0), size - 1)])),
    ];
  },
  differentiable: () => false,
  cases: DISTANCES,
  rejected: NO_DISTANCES,
  realistic: REALISTIC,
};

export const distanceGridSuite: OpSuite = {
  op: "distanceGrid",
  reference: ([numbers, x]) => {
    const [size, T] = [numbers!.shape[0]!, x!.shape[1]!];
    return [build([T, T], ([i, j]) => at(numbers!, [Math.min(Math.max(j! - i! + size / 2, 0), size - 1)]))];
  },
  differentiable: () => false,
  cases: DISTANCES,
  rejected: NO_DISTANCES,
  realistic: REALISTIC,
};
