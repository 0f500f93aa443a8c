import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { type Sum, formatExpression, parseExpression, weightsOf } from "./expression.ts";

const NAMES = ["a", "b", "c", "sales", "support", "toxic", "v1.2-final"];

/** Reads over those names that the text uses. */
function read(text: string): Sum {
  return parseExpression(
    text,
    NAMES.filter((name) => text.match(/[A-Za-z_][\w.-]*/g)?.includes(name)),
  );
}

function weights(text: string): Record<string, number> {
  return Object.fromEntries(weightsOf(read(text)));
}

describe("parseExpression() reads", () => {
  for (const [text, expected] of [
    ["0.6*sales + 0.4*support - toxic", { sales: 0.6, support: 0.4, toxic: -1 }],
    ["a", { a: 1 }],
    ["-a", { a: -1 }],
    ["- 0.5 * a", { a: -0.5 }],
    ["a*2", { a: 2 }],
    ["2*a*-3", { a: -6 }],
    ["a - -b", { a: 1, b: 1 }],
    ["a - (b - c)", { a: 1, b: -1, c: 1 }],
    ["0.5*(a + 3*b)", { a: 0.5, b: 1.5 }],
    ["-(a - b)*2", { a: -2, b: 2 }],
    ["a + a - 0.5*a", { a: 1.5 }],
    ["1e-3*a + 2.5E+2*b + .5*c", { a: 0.001, b: 250, c: 0.5 }],
    ["v1.2-final - a", { "v1.2-final": 1, a: -1 }],
    ["((a))", { a: 1 }],
    ["0*a + b", { a: 0, b: 1 }],
  ] as const) {
    test(text, () => assert.deepEqual(weights(text), expected));
  }

  test("parentheses as members of their own, but for those around everything or around one", () => {
    const difference = {
      terms: [
        { weight: 1, of: "b" },
        { weight: -1, of: "c" },
      ],
    };
    assert.deepEqual(read("0.9*a + 0.1*(b - c)"), {
      terms: [
        { weight: 0.9, of: "a" },
        { weight: 0.1, of: difference },
      ],
    });
    assert.deepEqual(read("((b - c))"), difference);
    assert.deepEqual(read("2*(3*(b - c))"), { terms: [{ weight: 6, of: difference }] });
    assert.deepEqual(read("2*(-a)"), { terms: [{ weight: -2, of: "a" }] });
  });
});

describe("parseExpression() refuses", () => {
  for (const [text, at, expected] of [
    ["", 1, /it is empty, expected an adapter/],
    ["   ", 1, /it is empty/],
    ["-", 2, /it ends there, expected an adapter/],
    ["a -", 4, /it ends there, expected an adapter/],
    ["a + * b", 5, /"\*", expected an adapter/],
    ["a b", 3, /"b", expected \+, - or \*/],
    ["2a", 2, /"a", expected \* before it/],
    ["2(a + b)", 2, /"\(", expected \* before it/],
    ["0.5", 4, /"0\.5" alone, expected \* and an adapter/],
    ["a + 2*3", 8, /"2\*3" alone/],
    ["a*b", 3, /an adapter times an adapter, expected a number/],
    ["(a + b", 7, /it ends there, expected \+, -, \* or \)/],
    ["a + b)", 6, /"\)", expected \+, - or \*/],
    ["a / 2", 3, /"\/", expected an adapter/],
    ["1e999*a", 1, /"1e999", expected a number that fits/],
    ["+ a", 1, /"\+", expected an adapter/],
  ] as const) {
    test(`"${text}"`, () => {
      assert.throws(() => read(text), {
        code: "usage/combine",
        message: new RegExp(`at character ${at}: .*${expected.source}`),
        hint: /0\.6\*a/,
      });
    });
  }

  test("names that are not given, with the nearest one", () => {
    assert.throws(() => parseExpression("0.6*sale", ["sales", "toxic"]), {
      code: "usage/combine",
      message: /"sale" at character 5 of "0\.6\*sale": expected one of sales, toxic/,
      hint: /Did you mean "sales"/,
    });
    assert.throws(() => parseExpression("zzzzzzzz", ["a"]), { hint: /--adapter zzzzzzzz=/ });
  });

  test("a difference without spaces, with how to write it", () => {
    assert.throws(() => parseExpression("a-b", ["a", "b"]), { hint: /with spaces: a - b\.$/ });
    assert.throws(() => parseExpression("0.3*a-0.7*b", ["a", "b"]), { hint: /with spaces: a - 0\.7\.$/ });
    assert.throws(() => parseExpression("run-2", ["run", "run-1"]), { hint: /Did you mean "run-1"/ });
  });

  test("adapters that are given and not used", () => {
    assert.throws(() => parseExpression("a", ["a", "b", "c"]), {
      code: "usage/combine",
      message: /does not name adapter "b", "c"/,
      hint: /Leave/,
    });
  });
});

describe("formatExpression()", () => {
  const weight = fc.oneof(
    fc.constantFrom(1, -1, 0.5, -2),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((w) => w + 0),
  );
  const { sum } = fc.letrec<{ sum: Sum; member: string | Sum }>((tie) => ({
    member: fc.oneof({ depthSize: "small" }, fc.constantFrom(...NAMES), tie("sum")),
    sum: fc
      .array(
        fc.tuple(weight, tie("member")).map(([w, of]) => ({ weight: w, of })),
        { minLength: 2, maxLength: 4 },
      )
      .map((terms) => ({ terms })),
  }));

  test("writes what reads back as the same sum", () => {
    fc.assert(
      fc.property(sum, (before) => {
        const used = [...weightsOf(before).keys()];
        assert.deepEqual(parseExpression(formatExpression(before), used), before);
      }),
    );
  });

  test("is a fixed point of reading, whatever the spaces", () => {
    fc.assert(
      fc.property(sum, (before) => {
        const used = [...weightsOf(before).keys()];
        const text = formatExpression(before);
        assert.equal(formatExpression(parseExpression(text.replaceAll(" ", "  "), used)), text);
      }),
    );
  });

  test("writes what a person would", () => {
    const text = "-0.5*a + (b - 2*c) - sales";
    assert.equal(formatExpression(read(text)), text);
  });
});

test("parentheses and signs without end are refused", () => {
  for (const [open, close] of [
    ["(", ")"],
    ["-", ""],
  ] as const) {
    const nested = (levels: number): string => `${open.repeat(levels)}a${close.repeat(levels)}`;
    parseExpression(nested(90), ["a"]);
    assert.throws(() => parseExpression(nested(50_000), ["a"]), {
      code: "usage/combine",
      message: /100 levels/,
    });
  }
});
