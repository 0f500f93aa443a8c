/** @file Symbolic sizes: arithmetic by properties, canonical text, broadcasting. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import {
  type Dim,
  addDims,
  broadcastShapes,
  evaluateDim,
  evaluateShape,
  mulDims,
  numElements,
  sameShape,
  showShape,
} from "./shape.ts";

const SYMBOLS = ["B", "P", "T"] as const;
const numbers = fc.record({
  B: fc.integer({ min: 0, max: 9 }),
  P: fc.integer({ min: 0, max: 9 }),
  T: fc.integer({ min: 0, max: 9 }),
});

/** Sizes made by sums and products of symbols and integers, negative ones included. */
const { dim } = fc.letrec<{ dim: Dim }>((tie) => ({
  dim: fc.oneof(
    { depthSize: "small" },
    fc.integer({ min: -5, max: 9 }),
    fc.constantFrom(...SYMBOLS),
    fc.tuple(tie("dim"), tie("dim")).map(([a, b]) => addDims(a, b)),
    fc.tuple(tie("dim"), tie("dim")).map(([a, b]) => mulDims(a, b)),
  ),
}));

test("addDims() and mulDims() do not mind the order", () => {
  fc.assert(
    fc.property(dim, dim, (a, b) => {
      assert.equal(addDims(a, b), addDims(b, a));
      assert.equal(mulDims(a, b), mulDims(b, a));
    }),
  );
});

test("addDims() and mulDims() do not mind the grouping", () => {
  fc.assert(
    fc.property(dim, dim, dim, (a, b, c) => {
      assert.equal(addDims(addDims(a, b), c), addDims(a, addDims(b, c)));
      assert.equal(mulDims(mulDims(a, b), c), mulDims(a, mulDims(b, c)));
      assert.equal(mulDims(a, b, c), mulDims(mulDims(a, b), c));
    }),
  );
});

test("mulDims() distributes over addDims()", () => {
  fc.assert(
    fc.property(dim, dim, dim, (a, b, c) => {
      assert.equal(mulDims(a, addDims(b, c)), addDims(mulDims(a, b), mulDims(a, c)));
    }),
  );
});

test("evaluateDim() of a sum or product is the sum or product of the numbers", () => {
  fc.assert(
    fc.property(dim, dim, numbers, (a, b, bindings) => {
      // Adding 0 turns -0 into 0.
      const value = (x: Dim): number => evaluateDim(x, bindings) + 0;
      assert.equal(value(addDims(a, b)), value(a) + value(b) + 0);
      assert.equal(value(mulDims(a, b)), value(a) * value(b) + 0);
    }),
  );
});

test("adding 0 and multiplying by 1 leave a size as it is, and a size minus itself is 0", () => {
  fc.assert(
    fc.property(dim, (a) => {
      assert.equal(addDims(a, 0), a);
      assert.equal(mulDims(a, 1), a);
      assert.equal(mulDims(a), a);
      assert.equal(mulDims(a, 0), 0);
      assert.equal(addDims(a, mulDims(-1, a)), 0);
    }),
  );
});

test("sizes have one canonical text", () => {
  assert.equal(mulDims("T", "B"), "B*T");
  assert.equal(mulDims(3, "T"), "3*T");
  assert.equal(mulDims(), 1);
  assert.equal(addDims("T", "P"), "P+T");
  assert.equal(addDims("T", "T"), "2*T");
  assert.equal(addDims(2, 3), 5);
  assert.equal(addDims("T", -256), "-256+T");
  assert.equal(addDims("-256+T", 256), "T");
  assert.equal(addDims("-256+T", 56), "-200+T");
  assert.equal(mulDims("-256+T", 2), "-512+2*T");
  assert.equal(mulDims("P+T", "B"), "B*P+B*T");
});

test("evaluateShape() puts numbers in and names a symbol that has none", () => {
  assert.deepEqual(evaluateShape(["B", "P+T", 7, "2*B*T"], { B: 2, P: 3, T: 4 }), [2, 7, 7, 16]);
  assert.deepEqual(evaluateShape(["-256+T"], { T: 300 }), [44]);
  assert.throws(
    () => evaluateDim("B*T", { B: 2 }),
    /^RangeError: Cannot evaluate size "B\*T": T has no value$/,
  );
});

test("broadcastShapes() repeats axes of size 1 and refuses others", () => {
  assert.deepEqual(broadcastShapes("add", [2, 1, 3], [4, 1]), [2, 4, 3]);
  assert.deepEqual(broadcastShapes("add", [], ["B", 3]), ["B", 3]);
  assert.deepEqual(broadcastShapes("add", ["B", 1], [1, "T"]), ["B", "T"]);
  assert.throws(() => broadcastShapes("add", ["B", 2], ["B", 3]), {
    name: "RangeError",
    message: "Cannot add [B, 2] and [B, 3]: sizes 2 and 3 differ",
  });
});

test("broadcastShapes() gives the same whichever side comes first", () => {
  const shape = fc.array(fc.constantFrom<Dim>(1, 2, "B"), { maxLength: 4 });
  const attempt = (a: Dim[], b: Dim[]): Dim[] | "refused" => {
    try {
      return broadcastShapes("add", a, b);
    } catch {
      return "refused";
    }
  };
  fc.assert(fc.property(shape, shape, (a, b) => assert.deepEqual(attempt(a, b), attempt(b, a))));
});

test("sameShape() and showShape() look at every size", () => {
  assert.equal(sameShape(["B", 2], ["B", 2]), true);
  assert.equal(sameShape(["B", 2], ["B"]), false);
  assert.equal(sameShape(["B", 2], ["B", 3]), false);
  assert.equal(showShape(["B", 2]), "[B, 2]");
});

test("numElements() multiplies the sizes, and a scalar has one element", () => {
  assert.deepEqual([numElements([2, 3, 4]), numElements([]), numElements([5, 0])], [24, 1, 0]);
});
