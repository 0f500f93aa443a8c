import assert from "node:assert/strict";
import { test } from "node:test";

import { processorMs } from "../train/power/processor-ms.ts";
import { editDistance, nearest } from "./nearest.ts";
import { nearestName } from "./setting-names.ts";

test("editDistance() counts insertions, deletions, changes and swaps, and no change of case", () => {
  assert.deepEqual(
    [
      ["", ""],
      ["abc", "abc"],
      ["abc", "ab"],
      ["abc", "abd"],
      ["abc", "acb"],
      ["kitten", "sitting"],
      ["", "abc"],
      ["ABC", "abd"],
    ].map(([a = "", b = ""]) => editDistance(a, b)),
    [0, 0, 1, 1, 1, 3, 3, 1],
  );
});

test("editDistance() up to a bound is the same where it is within the bound", () => {
  const words = ["", "a", "ab", "ba", "abcd", "abdc", "badc", "xabcd", "abcabc", "bcabca"];
  for (const a of words) {
    for (const b of words) {
      const whole = editDistance(a, b);
      for (let most = 0; most < 6; most++) {
        const found = editDistance(a, b, most);
        assert.ok(whole <= most ? found === whole : found > most, `${a} ${b} within ${most}: ${found}`);
      }
    }
  }
});

test("a long word is looked up among thousands that are like it at once", () => {
  const word = "ab".repeat(100);
  const others = Array.from({ length: 3000 }, (_, i) => `${i}`.padStart(4, "0") + word.slice(4));
  const begunMs = processorMs();
  assert.equal(nearest(word, others), others[0]);
  const spentMs = processorMs() - begunMs;
  assert.ok(spentMs < 400, `${spentMs} ms`);
});

test("nearest() finds a slip and leaves unlike words alone", () => {
  assert.equal(nearest("rnak", ["rank", "alpha"]), "rank");
  assert.equal(nearest("zzzz", ["rank", "alpha"]), null);
  assert.equal(nearest("rank", ["r", "ranking-of", "rankin"]), "rankin");
  assert.equal(nearest("RANK", ["tank", "rank", "RAM"]), "rank", "case is no slip");
});

test("nearestName() finds a slip of one letter before what a name may be short for", () => {
  const known = ["adapter", "max-adapters", "target-modules"];
  assert.equal(nearestName("adapters", known)?.name, "adapter");
  assert.equal(nearestName("target-mod", known)?.name, "target-modules");
  assert.equal(nearestName("adapters", known.slice(1))?.name, "max-adapters");
});
