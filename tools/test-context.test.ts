/** @file The runner with a store in place of its hook: tests lie in the suites that they did, and errors are those of the same tests. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";

const TESTS = `
  import { after, afterEach, before, beforeEach, describe, test } from "node:test";
  const done = [];
  const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  describe("outer", async () => {
    await wait(1);
    before(() => done.push("before"));
    afterEach(() => done.push("after each"));
    test("a", async () => done.push("a"));
    describe("inner", async () => {
      await 1;
      after(() => done.push("after inner"));
      test("b", () => done.push("b"));
    });
  });
  describe("other", () => {
    beforeEach(() => done.push("before each"));
    test("c", async (t) => {
      await t.test("part", () => done.push("part"));
      await test("declared in a test", () => done.push("declared"));
    });
  });
  test("throws in a timer", async () => (setTimeout(() => { throw new Error("late"); }, 1), await wait(20)));
  test("rejects unseen", async () => (Promise.reject(new Error("unseen")), await wait(20)));
  test("throws after its end", () => void setTimeout(() => { throw new Error("too late"); }, 10));
  test("tells", async () => (await wait(20), console.log(done.join())));
`;

/** What the runner tells, but for times and traces. */
function told(...flags: readonly string[]): { status: number | null; lines: string[] } {
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const words = [...flags, "--test-reporter=tap", "--input-type=module", "--eval", TESTS];
  const { status, stdout } = spawnSync(process.execPath, words, { env, encoding: "utf8" });
  return {
    status,
    lines: stdout.split("\n").filter((line) => /^ *(ok|not ok|# (?!duration)|error:)/.test(line)),
  };
}

test("suites, hooks and errors are those of the runner's own way", () => {
  const [own, ofStore] = [told(), told("--import", new URL("test-context.js", import.meta.url).href)];
  assert.equal(own.status, 1);
  assert.ok(own.lines.length > 20, own.lines.join("\n"));
  assert.ok(own.lines.some((line) => line.startsWith("not ok") && line.includes("throws in a timer")));
  assert.deepEqual(ofStore, own);
});
