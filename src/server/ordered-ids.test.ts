import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { z } from "zod";
import { orderedIds } from "./ordered-ids.ts";

test("ids sort as they were made, of a clock that stands still or is set back too, and are UUIDs of version 7", () => {
  const times = [1_700_000_000_000, ...Array<number>(9000).fill(1_700_000_000_001.5), 1_600_000_000_000];
  const newId = orderedIds(
    () => times.shift()!,
    () => randomUUID().replaceAll("-", ""),
  );
  const ids = Array.from({ length: times.length }, newId);
  assert.deepEqual(ids, ids.toSorted());
  assert.equal(new Set(ids).size, ids.length);
  for (const id of [ids[0]!, ids.at(-1)!])
    assert.ok(z.uuidv7().safeParse(id.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-")).success, id);
});
