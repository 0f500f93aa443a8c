/** @file Reference and cases of gatherPages. */
import { at, build } from "./array64.ts";
import { type OpSuite, float, given, int64, integers, opCase, reject } from "./op-suite.ts";

export const gatherPagesSuite: OpSuite = {
  op: "gatherPages",
  reference: ([pool, pages]) => {
    const [, S, ...rest] = pool!.shape as [number, number, ...number[]];
    const [B, M] = pages!.shape as [number, number];
    return [
      build([B, M * S, ...rest], ([b, p, ...place]) => {
        const page = at(pages!, [b!, Math.floor(p! / S)]);
        return at(pool!, [page, p! % S, ...place]);
      }),
    ];
  },
  differentiable: () => false,
  cases: [
    opCase("keys of two rows", [float(["N", 4, 2, 3]), int64(["B", "M"], given(2, 0, 1, 2, 2, 3))], {
      attributes: { length: "P" },
      bindings: { N: 4, B: 2, M: 3, P: 12 },
      tolerance: 0,
    }),
    opCase("numbers", [float([5, 2]), int64([1, 2], given(4, 1))], {
      attributes: { length: 4 },
      tolerance: 0,
    }),
  ],
  rejected: [
    reject("rows in one axis", [float([5, 2]), int64([2], given(0, 1))], { length: 4 }),
    reject("pages that are no integers", [float([5, 2]), float([1, 2])], { length: 4 }),
    reject("a page of an unknown shape", [float([5, 2, "E"]), int64([1, 2], given(0, 1))], { length: 4 }),
  ],
  realistic: opCase("16 rows of 16 pages", [float([512, 16, 3, 64]), int64([16, 16], integers(512))], {
    attributes: { length: 256 },
  }),
};
