/** @file Parts of dotted paths. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isWithin, lastName, lastNames, matchSuffix, moduleOf } from "./module-path.ts";

test("a path has a module before its last dot and a name after it", () => {
  assert.deepEqual([moduleOf("a.b.weight"), lastName("a.b.weight")], ["a.b", "weight"]);
  assert.deepEqual([moduleOf("weight"), lastName("weight")], ["", "weight"]);
  assert.deepEqual(lastNames(["a.x", "b.x", "a.y"]), ["x", "y"]);
});

test("matchSuffix() takes whole parts between dots only", () => {
  assert.ok(matchSuffix("q_proj", "a.q_proj") && matchSuffix("a.q_proj", "a.q_proj"));
  assert.ok(!matchSuffix("proj", "a.q_proj") && !matchSuffix("b.a.q_proj", "a.q_proj"));
});

test("isWithin() takes a path and all within it", () => {
  assert.ok(
    isWithin("head", "a.head") && isWithin("head", "a.head.dense") && isWithin("a.head", "a.head.dense"),
  );
  assert.ok(!isWithin("head", "a.overhead.dense") && !isWithin("head.dense", "a.head"));
});
