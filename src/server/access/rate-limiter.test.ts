/** @file A minute's worth at once, then evenly; callers do not take from each other, and are forgotten. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { RateLimiter } from "./rate-limiter.ts";

test("a caller has a minute's worth, which fills up evenly", () => {
  let nowMs = 0;
  const limiter = new RateLimiter(6, () => nowMs);
  const taken = Array.from({ length: 7 }, () => limiter.take("a"));
  assert.deepEqual(
    taken.map(({ isAllowed }) => isAllowed),
    [true, true, true, true, true, true, false],
  );
  assert.deepEqual(taken.at(-1), {
    isAllowed: false,
    limit: 6,
    remaining: 0,
    resetMs: 60_000,
    retryMs: 10_000,
  });
  assert.equal(limiter.take("b").remaining, 5);
  nowMs += 9_000;
  assert.equal(limiter.take("a").retryMs, 1_000);
  nowMs += 1_000;
  assert.equal(limiter.take("a").isAllowed, true);
  nowMs += 3_600_000;
  assert.equal(limiter.take("a").remaining, 5);
});

test("memory of callers is bounded, and whoever is out of requests stays so", () => {
  let nowMs = 0;
  const limiter = new RateLimiter(1, () => nowMs);
  for (let i = 0; i < 30_000; i++) {
    nowMs += 10;
    limiter.take(`${i}`);
  }
  assert.ok(limiter.numCallers <= 10_000);
  assert.equal(limiter.take("29999").isAllowed, false);
});
