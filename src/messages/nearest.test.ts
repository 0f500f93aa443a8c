import assert from "node:assert/strict";
import { test } from "node:test";

import { editDistance, nearest } from "./nearest.ts";
import { nearestName } from "./setting-names.ts";

test("editDistance() counts insertions, deletions, changes and swaps", () => {
  assert.deepEqual(
    [
      ["", ""],
      ["abc", "abc"],
      ["abc", "ab"],
      ["abc", "abd"],
      ["abc", "acb"],
      ["kitten", "sitting"],
      ["", "abc"],
    ].map(([a = "", b = ""]) => editDistance(a, b)),
    [0, 0, 1, 1, 1, 3, 3],
  );
});

test("nearest() finds a slip and leaves unlike words alone", () => {
  assert.equal(nearest("rnak", ["rank", "alpha"]), "rank");
  assert.equal(nearest("zzzz", ["rank", "alpha"]), null);
  assert.equal(nearest("rank", ["r", "ranking-of", "rankin"]), "rankin");
});

test("nearestName() finds a slip of one letter before what a name may be short for", () => {
  const known = ["adapter", "max-adapters", "target-modules"];
  assert.equal(nearestName("adapters", known)?.name, "adapter");
  assert.equal(nearestName("target-mod", known)?.name, "target-modules");
  assert.equal(nearestName("adapters", known.slice(1))?.name, "max-adapters");
});
