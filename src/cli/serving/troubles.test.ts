/** @file What requests meet again and again is told once a minute, with its reason once, and with the id of the first. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FailedError, FormatError } from "../../errors.ts";
import type { CommandIO } from "../command.ts";
import { faultsTo } from "./troubles.ts";

function toldFaults() {
  const told: string[] = [];
  const io = { stderr: (line: string) => told.push(line), color: { yellow: String } } as unknown as CommandIO;
  const clock = { nowMs: 0 };
  return { told, clock, tell: faultsTo(io, () => clock.nowMs) };
}

test("a fault that every request meets is told once a minute, another one at once", () => {
  const { told, clock, tell } = toldFaults();
  const cause = new Error("connect ECONNREFUSED");
  const away = new FailedError("failed/database", "Cannot reach the database: connect ECONNREFUSED", {
    cause,
  });
  const full = new FailedError("failed/write", "Cannot write", { cause: new Error("no space") });
  for (const [i, error] of [away, away, full, away].entries()) tell(error, `r${i}`);
  clock.nowMs += 59_000;
  tell(away, "r4");
  clock.nowMs += 1000;
  tell(away, "r5");
  const warned = (id: string): string =>
    `warning: request ${id}: Cannot reach the database: connect ECONNREFUSED`;
  assert.deepEqual(told, [
    warned("r0"),
    "warning: request r2: Cannot write: no space",
    warned("r3"),
    warned("r5"),
  ]);
});

test("what clients are not told of a file of graft's is told with what to do", () => {
  const { told, tell } = toldFaults();
  const cause = new FormatError("format/file", 'Cannot read keys "k"', { hint: "Add them again." });
  tell(new Error("The keys cannot be read", { cause }), "r0");
  assert.deepEqual(told, [
    'warning: request r0: The keys cannot be read: Cannot read keys "k". Add them again.',
  ]);
});
