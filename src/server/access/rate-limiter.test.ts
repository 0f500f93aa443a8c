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

test("ten thousand callers are remembered, and the one who came first is forgotten for one more", () => {
  const limiter = new RateLimiter(1, () => 0);
  for (let i = 0; i < 10_000; i++) limiter.take(`${i}`);
  assert.equal(limiter.take("0").isAllowed, false);
  limiter.take("one more");
  assert.equal(limiter.take("1").isAllowed, false);
  assert.equal(limiter.take("0").isAllowed, true);
});
