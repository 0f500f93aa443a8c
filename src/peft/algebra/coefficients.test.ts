import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseExpression } from "./expression.ts";
import { type Coefficient, paperCoefficients } from "./coefficients.ts";

function coefficients(expression: string): Record<string, readonly [kept: number, signed: number]> {
  const names = [...new Set(expression.match(/[a-z]/g))];
  const found: ReadonlyMap<string, Coefficient> = paperCoefficients(parseExpression(expression, names));
  return Object.fromEntries([...found].map(([name, { kept, signed }]) => [name, [kept, signed]]));
}

describe("paperCoefficients() of", () => {
  for (const [expression, expected] of [
    ["a + b", { a: [0.5, 0.5], b: [0.5, 0.5] }],
    ["3*a + b", { a: [0.75, 0.75], b: [0.25, 0.25] }],
    // ⊖, then ⊕.
    ["a - b", { a: [0.5, 0.5], b: [0.5, -0.5] }],
    // A lone module is scaled in one factor.
    ["a", { a: [1, 1] }],
    ["-a", { a: [1, -1] }],
    ["-0.5*a", { a: [1, -0.5] }],
    // The analogy: target ⊖ auxiliary as written.
    ["0.75*a + 0.25*(b - c)", { a: [0.75, 0.75], b: [0.25, 0.25], c: [0.25, -0.25] }],
    ["3*a + (b - c)", { a: [0.75, 0.75], b: [0.25, 0.25], c: [0.25, -0.25] }],
    // Averages in averages, and their negation.
    ["a + (b + c)", { a: [0.5, 0.5], b: [0.25, 0.25], c: [0.25, 0.25] }],
    ["a - (b + c)", { a: [0.5, 0.5], b: [0.25, -0.25], c: [0.25, -0.25] }],
    ["-(a + b)", { a: [0.5, -0.5], b: [0.5, -0.5] }],
    ["-(a - b)", { a: [1, -1], b: [1, 1] }],
    ["a - a", { a: [1, 0] }],
  ] as const) {
    test(expression, () => assert.deepEqual(coefficients(expression), expected));
  }

  test("an average of nothing is refused", () => {
    assert.throws(() => coefficients("0*a + 0*b"), { code: "usage/combine", message: /all weights are 0/ });
  });
});
