/** @file Reports failures of servers and workers: of jobs, where work is retried, and of requests. */
import { GraftError, toldWhole } from "../../errors.ts";
import { systemClock } from "../../jobs/queue/system-clock.ts";
import type { TroubleOptions } from "../../jobs/queue/trouble.ts";
import type { Patience } from "../../jobs/while-away.ts";
import type { CommandIO } from "../command.ts";
import { warn } from "../report.ts";

/** How long a repeated fault of requests is not reported again, in milliseconds: each client that retries meets it. */
const QUIET_MS = 60_000;

/** Reports failures of the job queue, and their end, on standard error. */
export function troublesTo(io: CommandIO): TroubleOptions {
  return { onTrouble: (error) => warn(toldWhole(error), io), onRecovered: () => io.stderr("jobs continue") };
}

/** How a server or worker waits for its store and its database at the start. */
export function patienceOf(io: CommandIO): Patience {
  return {
    clock: systemClock,
    signal: io.signal,
    troubles: troublesTo(io),
    onAway: (error) => io.emit({ event: "away", message: toldWhole(error) }),
  };
}

/** Returns a function that reports faults of requests that no client caused, on standard error. */
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

/** Describes a fault: where it comes from, or its reason if graft raised it. */
function describeFault(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { message, cause } = error;
  if (cause instanceof GraftError) return `${message}: ${toldWhole(cause)}`;
  if (!(error instanceof GraftError)) return error.stack ?? message;
  const isMore = cause instanceof Error && !message.includes(cause.message);
  return isMore ? `${message}: ${cause.message}` : message;
}
