/** @file `graft bench`: a signal ends the benchmark and the command, which says so. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { runMain } from "../../../test/process/run-main.ts";

test("a signal ends a benchmark with status 130, before it begins and while it runs", async () => {
  const before = await runMain(["bench"], process.env, { signal: AbortSignal.abort() });
  assert.deepEqual([before.status, before.stderr], [130, "stopped\n"]);

  // Who reads the whole environment starts a process, which runs right after.
  const controller = new AbortController();
  const env = new Proxy(process.env, {
    ownKeys: (target) => (setImmediate(() => controller.abort()), Reflect.ownKeys(target)),
  });
  const during = await runMain(["bench", "ops"], env, { signal: controller.signal });
  assert.deepEqual([during.status, during.stderr], [130, "stopped\n"]);
});
