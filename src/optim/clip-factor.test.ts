/** @file Clipping of gradients. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { clipFactor } from "./clip-factor.ts";

test("clipFactor() shortens long gradients to the largest norm and leaves others", () => {
  assert.equal(clipFactor(0.5, 1), 1);
  assert.equal(clipFactor(0, 1), 1);
  assert.equal(clipFactor(4, 1), 1 / 4.000001);
  assert.ok(Number.isNaN(clipFactor(NaN, 1)));
});
