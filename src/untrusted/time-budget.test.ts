/** @file The clock by which texts take time. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { workedMs } from "./time-budget.ts";

/** Keeps this thread from working, as a busy machine does. */
function wait(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

test(
  "a thread that waits for a processor takes no time of its texts",
  { skip: !process.threadCpuUsage },
  () => {
    const [startMs, startedMs] = [workedMs(), performance.now()];
    wait(100);
    const [usedMs, passedMs] = [workedMs() - startMs, performance.now() - startedMs];
    assert.ok(passedMs > 90 && usedMs < 50, `${usedMs} of ${passedMs} ms`);
  },
);
