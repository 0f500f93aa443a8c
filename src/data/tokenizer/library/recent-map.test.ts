import assert from "node:assert/strict";
import { test } from "node:test";
import { RecentMap } from "./recent-map.ts";

test("what was asked for lately is kept, what was not is forgotten", () => {
  const map = new RecentMap<number>(10);
  map.put("used", 1);
  map.put("unused", 2);
  for (let i = 0; i < 25; i++) {
    map.put(`other ${i}`, i);
    assert.equal(map.get("used"), 1);
  }
  assert.equal(map.get("unused"), undefined);
  assert.equal(map.get("other 24"), 24);
  const numKept = Array.from({ length: 25 }, (_, i) => map.get(`other ${i}`)).filter((v) => v !== undefined);
  assert.ok(numKept.length <= 20, `${numKept.length} kept`);
  map.clear();
  assert.equal(map.get("used"), undefined);
});
