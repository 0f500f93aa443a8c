/** @file Programs of rows that were used longest ago are freed, those of rows that are no more before others. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type AdapterView, NO_ADAPTER } from "../../peft/adapter-view.ts";
import { RecentRows } from "./recent-rows.ts";

const LIMIT = 2 * 2 ** 30;

/** Views that bind so much each, and those whose programs were freed. */
function openRows(boundBytes: number, count: number) {
  const views = Array.from({ length: count }, (): AdapterView => ({ ...NO_ADAPTER }));
  const ended: number[] = [];
  const recent = new RecentRows((view) => ({
    boundBytes: async () => boundBytes,
    end: () => void ended.push(views.indexOf(view)),
  }));
  const use = async (index: number): Promise<number[]> =>
    (await recent.use(views[index]!)).map((view) => views.indexOf(view));
  return { views, recent, ended, use };
}

test("what was used longest ago goes when programs bind more than there is room for", async () => {
  const { recent, ended, use } = openRows(LIMIT / 3, 4);
  for (const index of [0, 1, 2, 0]) assert.deepEqual(await use(index), []);
  assert.equal(recent.hasRoom, false);
  assert.deepEqual(await use(3), [1]);
  assert.deepEqual(ended, [1]);
});

test("two stay, however large", async () => {
  const { recent, ended, use } = openRows(3 * LIMIT, 3);
  assert.deepEqual([await use(0), recent.hasRoom], [[], true]);
  assert.deepEqual([await use(1), recent.hasRoom, ended], [[], false, []]);
  assert.deepEqual(await use(2), [0]);
});

test("programs that bind nothing go by their number, and those of rows that are no more before others", async () => {
  const { views, recent, use } = openRows(0, 14);
  for (let index = 0; index < 12; index++) assert.deepEqual(await use(index), []);
  assert.equal(recent.hasRoom, false);
  recent.keep(new Set(views.filter((_, index) => index !== 5)));
  assert.deepEqual(await use(12), [5]);
  assert.deepEqual(await use(13), [0]);
});
