import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { makeExample } from "../examples/example.ts";
import { drawHeldOut } from "./held-out.ts";

const unit = (ids: number[], line: number) => makeExample(ids, () => true, { file: "x", line });

describe("drawHeldOut()", () => {
  test("has every example on one side, equal ones on the same, and some on both", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 30 }), { minLength: 2, maxLength: 60 }),
        fc.double({ min: 0.01, max: 0.99, noNaN: true }),
        fc.nat(),
        (values, share, seed) => {
          fc.pre(new Set(values).size > 1);
          const units = values.map((value, line) => unit([value, value % 3], line));
          const drawn = drawHeldOut(units, share, seed);
          assert.deepEqual(
            [...drawn.train, ...drawn.heldOut].sort((a, b) => a - b),
            [...values.keys()],
          );
          const of = (side: readonly number[]): Set<number> => new Set(side.map((i) => values[i]!));
          assert.equal(of(drawn.train).isDisjointFrom(of(drawn.heldOut)), true);
          assert.ok(drawn.train.length > 0 && drawn.heldOut.length > 0);
          assert.deepEqual(drawHeldOut(units, share, seed), drawn);
        },
      ),
    );
  });

  test("draws no more than the share because one of the drawn is there many times", () => {
    const many = Array.from({ length: 60 }, (_, i) => unit([7, 7], i));
    const others = Array.from({ length: 40 }, (_, i) => unit([i, 100], 60 + i));
    for (let seed = 0; seed < 20; seed++)
      assert.equal(drawHeldOut([...many, ...others], 0.1, seed).heldOut.length, 10);
    const pairs = Array.from({ length: 6 }, (_, i) => unit([i >> 1, 1], i));
    assert.equal(drawHeldOut([...many, ...pairs], 0.01, 1).heldOut.length, 2);
  });

  test("draws about the share, others with another seed", () => {
    const units = Array.from({ length: 1000 }, (_, i) => unit([i, i], i));
    const drawn = drawHeldOut(units, 0.05, 1);
    assert.equal(drawn.heldOut.length, 50);
    assert.notDeepEqual(drawHeldOut(units, 0.05, 2).heldOut, drawn.heldOut);
    assert.equal(drawHeldOut([unit([1, 2], 1), unit([1, 2], 2)], 0.5, 1).heldOut.length, 0);
  });
});
