import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PLAIN_TARGET } from "./emitter.ts";
import { Graph, type Value } from "./graph.ts";
import { add, exp, mul, neg, sigmoid, tanh } from "./ops/pointwise/elementwise.ts";
import { matmul } from "./ops/products/matmul.ts";
import { matmulInt8 } from "./ops/products/matmul-int8.ts";
import { unpackCodes } from "./ops/products/unpack-codes.ts";
import { reshape } from "./ops/shapes/reshape.ts";
import { peakBytes } from "./peak-memory.ts";

const SIZE = 4 * 100 * 100;

/** The peak of y = f(x) for x [N, N], N = 100. */
function peakOf(f: (x: Value) => Value): number {
  const graph = new Graph();
  const x = graph.input("x", "float32", ["N", "N"]);
  return peakBytes({ name: "test", inputs: { x }, outputs: { y: f(x) } }, { N: 100 }, PLAIN_TARGET);
}

describe("peakBytes()", () => {
  test("counts neither inputs nor outputs", () => {
    assert.equal(
      peakOf((x) => neg(x)),
      0,
    );
  });

  test("counts a value from the node that makes it to the last that reads it", () => {
    // Of a chain of products two are there at a time.
    assert.equal(
      peakOf((x) => matmul(matmul(matmul(matmul(x, x), x), x), x)),
      2 * SIZE,
    );
    assert.equal(
      peakOf((x) => {
        const first = matmul(x, x);
        return matmul(matmul(matmul(first, x), x), first);
      }),
      3 * SIZE,
    );
  });

  test("of a chain of element-wise nodes two values are there, few write over what dies with them, and views take nothing", () => {
    assert.equal(
      peakOf((x) => matmul(neg(mul(matmul(x, x), x)), x)),
      2 * SIZE,
    );
    assert.equal(
      peakOf((x) => matmul(sigmoid(tanh(matmul(x, x))), x)),
      SIZE,
    );
    assert.equal(
      peakOf((x) => matmul(reshape(reshape(matmul(x, x), ["N*N"]), ["N", "N"]), x)),
      SIZE,
    );
    const held = (x: Value): Value => {
      const product = matmul(x, x);
      return add(matmul(neg(product), x), matmul(product, x));
    };
    assert.equal(peakOf(held), 3 * SIZE);
  });

  test("a value takes the memory of a dead one of its shape, which then waits for it", () => {
    const twice = (x: Value): Value => exp(neg(x));
    // What the first two leave waits for the last two, beside what is between them and has a shape of its own.
    const between = (x: Value): Value => reshape(neg(reshape(twice(x), ["N*N"])), ["N", "N"]);
    assert.equal(
      peakOf((x) => matmul(twice(between(x)), x)),
      3 * SIZE,
    );
    assert.equal(
      peakOf((x) => matmul(between(x), x)),
      2 * SIZE,
    );
  });

  test("values between the nodes of an operation are there until its last node of these sizes", () => {
    const numWeights = 64 * 64;
    const peak = (count: number): number => {
      const graph = new Graph();
      const x = graph.input("x", "float32", [1, 64]);
      const codes = Array.from({ length: count }, (_, i) => graph.input(`codes${i}`, "uint8", [64, 32]));
      const named = (letter: string, values: readonly Value[]): Record<string, Value> =>
        Object.fromEntries(values.map((value, i) => [`${letter}${i}`, value]));
      const outputs = named(
        "y",
        codes.map((packed) => matmul(x, neg(unpackCodes(packed, 4, 64)))),
      );
      const inputs = { x, ...named("codes", codes) };
      return peakBytes({ name: "test", inputs, outputs }, {}, PLAIN_TARGET) / numWeights;
    };
    // Bytes of a weight: its half byte as a number, shifted, and the code; with a second one its negative as well.
    assert.equal(peak(1), 2 + 4 + 4);
    assert.equal(peak(3), 2 + 4 + 4 + 4);
  });

  test("codes that a processor needs unsigned are there once more, one product's at a time", () => {
    const graph = new Graph();
    const x = graph.input("x", "float32", ["N", 100]);
    const codes = graph.input("codes", "int8", [100, 100]);
    const scales = graph.input("scales", "float32", [100]);
    const product = (of: Value): Value => matmulInt8(of, codes, scales, codes);
    const spec = { name: "test", inputs: { x, codes, scales }, outputs: { y: product(product(x)) } };
    const [plain, turned] = [false, true].map((bytePairsOverflow) =>
      peakBytes(spec, { N: 10 }, { bytePairsOverflow }),
    );
    assert.equal(turned, plain! + 100 * 100);
  });
});
