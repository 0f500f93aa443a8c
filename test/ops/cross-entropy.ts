/** @file References and cases of crossEntropy and softmaxError. */
import { at, build } from "./array64.ts";
import {
  type Draw,
  type OpCase,
  type OpSuite,
  type RejectedCase,
  float,
  given,
  int64,
  integers,
  normal,
  opCase,
  reject,
} from "./op-suite.ts";
import { softmax } from "./softmax.ts";

const onLogits = (
  name: string,
  [n, v]: readonly [number | string, number],
  bindings: Record<string, number> = {},
  labels: Draw = integers(v),
  logits: Draw = normal(),
): OpCase => opCase(name, [float([n, v], logits), int64([n], labels)], { bindings, tolerance: 1e-5 });

const CASES = [
  onLogits("a few positions", [4, 7]),
  onLogits("one position", [1, 5]),
  onLogits("two words", [3, 2]),
  onLogits("one word", [3, 1]),
  onLogits("a label many times", [5, 4], {}, given(2, 2, 2, 0, 2)),
  onLogits("symbolic positions", ["N", 6], { N: 5 }),
  onLogits("confident", [4, 7], {}, integers(7), normal(8)),
  onLogits("sure of another word", [2, 3], {}, given(0, 2), given(-400, 300, 0, 1000, 0, -900)),
  onLogits("no positions", ["N", 6], { N: 0 }),
];

const REJECTED: readonly RejectedCase[] = [
  reject("too few labels", [float([2, 5]), int64([1], integers(5))]),
  reject("labels that are not integers", [float([2, 5]), float([2])]),
  reject("logits of three axes", [float([2, 3, 5]), int64([2], integers(5))]),
];

const realistic = onLogits("128 positions, 49152 words", [128, 49152]);

export const crossEntropySuite: OpSuite = {
  op: "crossEntropy",
  reference: ([logits, labels]) => {
    const z = logits!;
    const [numRows, width] = z.shape as [number, number];
    return [
      build([numRows, 1], ([row]) => {
        const values = Array.from({ length: width }, (_, i) => at(z, [row!, i]));
        const largest = Math.max(...values);
        const total = values.reduce((sum, value) => sum + Math.exp(value - largest), 0);
        const picked = at(z, [row!, at(labels!, [row!])]);
        return Math.log(total) + largest - picked;
      }),
    ];
  },
  differentiable: (input) => input === 0,
  cases: CASES,
  rejected: REJECTED,
  realistic,
};

export const softmaxErrorSuite: OpSuite = {
  op: "softmaxError",
  reference: ([logits, labels]) => {
    const p = softmax(logits!);
    return [
      build(p.shape, (index) => {
        const [row, word] = index as [number, number];
        return at(p, index) - (word === at(labels!, [row]) ? 1 : 0);
      }),
    ];
  },
  differentiable: () => false,
  cases: CASES,
  rejected: REJECTED,
  realistic,
};
