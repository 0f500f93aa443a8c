import assert from "node:assert/strict";
import { test } from "node:test";
import { readWeightedName } from "./weighted-name.ts";

const nothing = (): boolean => false;

test("a weight stands behind the name", () => {
  assert.deepEqual(readWeightedName("b.jsonl=2", nothing), { path: "b.jsonl", weight: 2 });
  assert.deepEqual(readWeightedName("a=b.jsonl=0.5", nothing), { path: "a=b.jsonl", weight: 0.5 });
  assert.deepEqual(readWeightedName("b.jsonl", nothing), { path: "b.jsonl", weight: 1 });
});

test("a name may have a = of its own", () => {
  assert.deepEqual(readWeightedName("a=b.jsonl", nothing), { path: "a=b.jsonl", weight: 1 });
  assert.deepEqual(
    readWeightedName("year=2024", (path) => path === "year=2024"),
    { path: "year=2024", weight: 1 },
  );
});

test("a weight that draws nothing, or has no end, is refused", () => {
  for (const word of ["0", "-1", "Infinity"]) {
    assert.throws(() => readWeightedName(`b.jsonl=${word}`, nothing), {
      code: "usage/flag",
      message: `Cannot draw data set "b.jsonl" ${word} times per epoch: expected a number above 0`,
    });
  }
});
