/** @file What requests meet again and again is told once a minute, with its reason once. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FailedError } from "../../errors.ts";
import type { CommandIO } from "../command.ts";
import { faultsTo } from "./troubles.ts";

test("a fault that every request meets is told once a minute, another one at once", () => {
  const told: string[] = [];
  const io = { stderr: (line: string) => told.push(line), color: { yellow: String } } as unknown as CommandIO;
  let nowMs = 0;
  const tell = faultsTo(io, () => nowMs);
  const cause = new Error("connect ECONNREFUSED");
  const away = new FailedError("failed/database", "Cannot reach the database: connect ECONNREFUSED", {
    cause,
  });
  const full = new FailedError("failed/write", "Cannot write", { cause: new Error("no space") });
  for (const error of [away, away, full, away]) tell(error);
  nowMs += 59_000;
  tell(away);
  nowMs += 1000;
  tell(away);
  const first = "warning: Cannot reach the database: connect ECONNREFUSED";
  assert.deepEqual(told, [first, "warning: Cannot write: no space", first, first]);
});
