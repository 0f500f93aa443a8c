/** @file How servers and workers tell of what goes wrong: with jobs, where it is tried again, and with requests. */
import { GraftError, toldWhole } from "../../errors.ts";
import { systemClock } from "../../jobs/queue/system-clock.ts";
import type { TroubleOptions } from "../../jobs/queue/trouble.ts";
import type { Patience } from "../../jobs/while-away.ts";
import type { CommandIO } from "../command.ts";
import { warn } from "../report.ts";

/** How long the same fault of requests is not told again, in milliseconds: each client that asks again meets it. */
const QUIET_MS = 60_000;

/** Tells of troubles with the queue of jobs on standard error, and of their end. */
export function troublesTo(io: CommandIO): TroubleOptions {
  return { onTrouble: (error) => warn(toldWhole(error), io), onRecovered: () => io.stderr("jobs continue") };
}

/** How a server or a worker waits for its store and its database while it starts. */
export function patienceOf(io: CommandIO): Patience {
  return {
    clock: systemClock,
    signal: io.signal,
    troubles: troublesTo(io),
    onAway: (error) => io.emit({ event: "away", message: toldWhole(error) }),
  };
}

/** Tells of what requests meet that is no client's fault on standard error. */
export function faultsTo(io: CommandIO, nowMs: () => number): (error: unknown, requestId: string) => void {
  let [last, toldMs] = ["", -Infinity];
  return (error, requestId) => {
    const fault = describeFault(error);
    const sinceMs = Math.abs(nowMs() - toldMs);
    if (fault === last && sinceMs < QUIET_MS) return;
    [last, toldMs] = [fault, nowMs()];
    warn(`request ${requestId}: ${fault}`, io);
  };
}

/** Where a fault comes from, or why, where graft raised it. */
function describeFault(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { message, cause } = error;
  if (cause instanceof GraftError) return `${message}: ${toldWhole(cause)}`;
  if (!(error instanceof GraftError)) return error.stack ?? message;
  const isMore = cause instanceof Error && !message.includes(cause.message);
  return isMore ? `${message}: ${cause.message}` : message;
}
