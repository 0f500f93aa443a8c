import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseExpression } from "./expression.ts";
import { type Coefficient, type Normalization, paperCoefficients } from "./coefficients.ts";

function coefficients(
  expression: string,
  normalize: Normalization = "on",
): Record<string, readonly [kept: number, signed: number]> {
  const names = [...new Set(expression.match(/[a-z]/g))];
  const sum = parseExpression(expression, names);
  const found: ReadonlyMap<string, Coefficient> = paperCoefficients(sum, normalize);
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
    ["-(a - b)", { a: [0.5, -0.5], b: [0.5, 0.5] }],
    // A group that is scaled as a whole: what the group is, times the number in one factor.
    ["0.5*(a + b)", { a: [0.5, 0.25], b: [0.5, 0.25] }],
    ["2*(a + b)", { a: [0.5, 1], b: [0.5, 1] }],
    ["0.5*(a - b)", { a: [0.5, 0.25], b: [0.5, -0.25] }],
    ["-0.5*(a + (b - c))", { a: [0.5, -0.25], b: [0.5, -0.25], c: [0.5, 0.25] }],
    ["a - a", { a: [1, 0] }],
  ] as const) {
    test(expression, () => assert.deepEqual(coefficients(expression), expected));
  }

  for (const [expression, expected] of [
    ["a + b", { a: [1, 1], b: [1, 1] }],
    ["1.5*a - 0.5*b", { a: [1.5, 1.5], b: [0.5, -0.5] }],
    // θ + λ(θ − τ)
    ["a + 0.5*(a - t)", { a: [1.5, 1.5], t: [0.5, -0.5] }],
    ["-2*(a + b)", { a: [1, -2], b: [1, -2] }],
    ["0*a + 0*b", { a: [0, 0], b: [0, 0] }],
  ] as const) {
    test(`${expression}, as written`, () => assert.deepEqual(coefficients(expression, "off"), expected));
  }

  test("an average of nothing is refused", () => {
    assert.throws(() => coefficients("0*a + 0*b"), { code: "usage/combine", message: /all weights are 0/ });
  });
});
