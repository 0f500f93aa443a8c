/** @file Reference and cases of int8CrossEntropy: those of a head in float32 with the same weights. */
import { at, build } from "./array64.ts";
import { linearCrossEntropySuite } from "./linear-cross-entropy.ts";
import { codedMatrix } from "./matmul-int8.ts";
import {
  type OpCase,
  type OpSuite,
  float,
  int64,
  integers,
  normal,
  opCase,
  reject,
  uniform,
} from "./op-suite.ts";

const inputs = (n: number | string, d: number, v: number, size = 0.5): OpCase["inputs"] => [
  float([n, d], normal(size)),
  ...codedMatrix(d, v, uniform(0.002, 0.006)),
  int64([n], integers(v)),
];

export const int8CrossEntropySuite: OpSuite = {
  op: "int8CrossEntropy",
  reference: ([hidden, , scales, back, labels]) => {
    const weight = build(back!.shape, (index) => at(back!, index) * at(scales!, [index[0]!]));
    return linearCrossEntropySuite.reference([hidden!, weight, labels!], {}, {});
  },
  differentiable: (input) => input === 0,
  cases: [
    opCase("a few positions", inputs(4, 32, 7), { tolerance: 0.05 }),
    opCase("one position", inputs(1, 64, 50), { tolerance: 0.05 }),
    opCase("symbolic positions", inputs("N", 32, 6), { bindings: { N: 5 }, tolerance: 0.05 }),
    opCase("words whose probability float32 cannot hold", inputs(4, 32, 7, 200), { tolerance: 0.05 }),
  ],
  rejected: [
    reject("codes the other way round of another shape", [
      ...inputs(2, 32, 5).slice(0, 3),
      inputs(2, 32, 6)[3]!,
      int64([2], integers(5)),
    ]),
    reject("too few labels", [...inputs(2, 32, 5).slice(0, 4), int64([1], integers(5))]),
  ],
  realistic: opCase("256 positions, 49152 words", inputs(256, 576, 49152), { tolerance: 0.05 }),
};
