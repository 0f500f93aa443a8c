/** @file Expressions of adapter arithmetic. */
import { formatExpression, parseExpression, weightsOf } from "../../../src/peft/algebra/expression.ts";
import type { FuzzFormat } from "../format.ts";
import { mutateText, pick } from "../mutate.ts";

const CORPUS = ["0.6*a + 0.4*b - a", "-(a - 2*(b + 3e-2*a))", "a", "2*(a+b)*0.5 - -b"];
const WORDS = ["a", "b", "+", "-", "*", "(", ")", "1e999", ".5", "__proto__", "0", "1e-400"];

export const expression: FuzzFormat = {
  name: "expression",
  numCases: 1500,
  prepare: () => ({
    make: (random) => mutateText(random, pick(random, CORPUS), WORDS),
    read(input) {
      const sum = parseExpression(input as string, ["a", "b"]);
      weightsOf(parseExpression(formatExpression(sum), ["a", "b"]));
    },
  }),
};
