/** @file Reference and cases of linearCrossEntropy. */
import { crossEntropySuite } from "./cross-entropy.ts";
import {
  type Draw,
  type OpCase,
  type OpSuite,
  float,
  given,
  int64,
  integers,
  normal,
  opCase,
  reject,
} from "./op-suite.ts";
import { matmulSuite } from "./matmul.ts";
import { softmax } from "./softmax.ts";

const loss = (
  name: string,
  [n, d, v]: readonly [number | string, number, number],
  bindings: Record<string, number> = {},
  labels: Draw = integers(v),
  hidden: Draw = normal(),
): OpCase =>
  opCase(name, [float([n, d], hidden), float([v, d]), int64([n], labels)], { bindings, tolerance: 1e-5 });

export const linearCrossEntropySuite: OpSuite = {
  op: "linearCrossEntropy",
  reference: ([hidden, weight, labels]) => {
    const attributes = { transA: false, transB: true, alpha: 1 };
    const [logits] = matmulSuite.reference([hidden!, weight!], attributes, {});
    return [...crossEntropySuite.reference([logits!, labels!], {}, {}), softmax(logits!)];
  },
  differentiable: (input) => input < 2,
  cases: [
    loss("a few positions", [4, 3, 7]),
    loss("one position", [1, 3, 5]),
    loss("two words", [3, 4, 2]),
    loss("one word", [3, 4, 1]),
    loss("a label many times", [5, 3, 4], {}, given(2, 2, 2, 0, 2)),
    loss("symbolic positions", ["N", 3, 6], { N: 5 }),
    loss("confident", [4, 3, 7], {}, integers(7), normal(4)),
    loss("no positions", ["N", 3, 6], { N: 0 }),
    loss("words whose probability float32 cannot hold", [5, 3, 7], {}, integers(7), normal(200)),
    opCase("one such word among others", [
      float([3, 1], given(1, 0, 2)),
      float([3, 1], given(0, 500, 1)),
      int64([3], given(0, 0, 2)),
    ]),
    loss("many words, one of them likely", [2, 1, 400], {}, given(0, 399), given(-300, 300)),
  ],
  rejected: [
    reject("a head of another width", [float([2, 3]), float([5, 4]), int64([2], integers(5))]),
    reject("too few labels", [float([2, 3]), float([5, 3]), int64([1], integers(5))]),
    reject("labels that are not integers", [float([2, 3]), float([5, 3]), float([2])]),
  ],
  realistic: loss("128 positions, 49152 words", [128, 576, 49152], {}, integers(49152), normal(0.05)),
};
