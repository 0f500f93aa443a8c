import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PLAIN_TARGET } from "./emitter.ts";
import { Graph, type Value } from "./graph.ts";
import { add, mul, neg } from "./ops/pointwise/elementwise.ts";
import { matmul } from "./ops/products/matmul.ts";
import { matmulInt8 } from "./ops/products/matmul-int8.ts";
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

  test("element-wise nodes write over what dies with them, and views take nothing", () => {
    assert.equal(
      peakOf((x) => matmul(neg(mul(matmul(x, x), x)), x)),
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
