/** @file Reference and cases of routeRows. */
import { at, build } from "./array64.ts";
import { type OpSuite, float, given, opCase, reject, uniform } from "./op-suite.ts";

export const routeRowsSuite: OpSuite = {
  op: "routeRows",
  reference: ([p], attributes) => {
    const { shape } = p!;
    const [M, E] = shape as [number, number];
    const k = attributes["k"] as number;
    const isChosen = (m: number, e: number): boolean => {
      const larger = Array.from({ length: E }, (_, other) => at(p!, [m, other])).filter(
        (value) => value > at(p!, [m, e]),
      );
      return larger.length < k;
    };
    const places = Array.from({ length: M * E }, (_, place) => place).filter((place) =>
      isChosen(place % M, Math.floor(place / M)),
    );
    const counts = Array.from({ length: E }, (_, e) => places.filter((p) => Math.floor(p / M) === e).length);
    return [
      build([M, E], ([m, e]) => (isChosen(m!, e!) ? 1 : 0)),
      { shape: [places.length], data: Float64Array.from(places, (place) => place % M) },
      { shape: [places.length], data: Float64Array.from(places) },
      { shape: [E], data: Float64Array.from(counts) },
    ];
  },
  differentiable: () => false,
  cases: [
    opCase("two of five", [float([6, 5])], { attributes: { k: 2 }, tolerance: 0 }),
    opCase("all of three", [float([4, 3])], { attributes: { k: 3 }, tolerance: 0 }),
    opCase("one that nobody chooses", [float([2, 3], given(3, 1, 2, 3, 1, 2))], {
      attributes: { k: 2 },
      tolerance: 0,
    }),
    opCase("rows of a batch", [float(["B*T", 4], uniform(0, 1))], {
      attributes: { k: 1 },
      bindings: { B: 2, T: 3 },
      tolerance: 0,
    }),
  ],
  rejected: [
    reject("more columns than there are", [float([4, 3])], { k: 4 }),
    reject("another number of axes", [float([4, 3, 2])], { k: 1 }),
  ],
  realistic: opCase("8 of 64 experts for 1024 rows", [float([1024, 64], uniform(0, 1))], {
    attributes: { k: 8 },
  }),
};
