/** @file Reports failures and warnings: lines on standard error, one event on standard output in --json mode, an exit status. */
import { constants } from "node:os";
import { type ErrorCode, exitStatus, GraftError } from "../errors.ts";
import type { CommandIO } from "./command.ts";

/** The reason of an abort by a signal of the system. */
export class StoppedBySignal extends Error {
  override readonly name = "AbortError";
  readonly signal: NodeJS.Signals;

  constructor(signal: NodeJS.Signals) {
    super(`stopped by ${signal}`);
    this.signal = signal;
  }
}

/** Exit status of a process stopped by Ctrl-C. */
export const INTERRUPTED_STATUS = 130;

/** Exit status of stopped work by the convention of shells: 128 plus the number of the signal. */
export function stoppedStatus({ reason }: AbortSignal): number {
  return reason instanceof StoppedBySignal ? 128 + constants.signals[reason.signal] : INTERRUPTED_STATUS;
}

/** The library's code for a stopped run; the command then ends with `stoppedStatus`. */
export const STOPPED_RUN = "train/stopped" satisfies ErrorCode;

/** Codes of the command itself, which no error class has: [exit status, one sentence for the documentation]. */
export const COMMAND_CODES = {
  stopped: [INTERRUPTED_STATUS, "The command was stopped by a signal (143 by SIGTERM, 129 by SIGHUP)."],
  internal: [1, "An unexpected error in graft; please report it."],
  "usage/node": [2, "Node is too old, or packages that graft depends on are not installed."],
} as const satisfies Readonly<Record<string, readonly [status: number, meaning: string]>>;

type CommandCode = keyof typeof COMMAND_CODES;

/** Reports something that does not stop the command. */
export function warn(message: string, io: CommandIO): void {
  io.stderr(`${io.color.yellow("warning")}: ${message}`);
}

/** Reports a failure and returns the exit status of the process. */
export function reportError(error: unknown, io: CommandIO): number {
  if (error instanceof GraftError) {
    const { code, message, hint } = error;
    io.emit({ event: "error", code, message, hint });
    io.stderr(`${io.color.red(`error[${code}]`)}: ${message}`);
    if (hint !== null) io.stderr(`${io.color.cyan("hint")}: ${hint}`);
    return io.signal.aborted && code === STOPPED_RUN ? stoppedStatus(io.signal) : exitStatus(error);
  }
  if (io.signal.aborted && error instanceof Error && error.name === "AbortError") {
    io.emit({
      event: "error",
      code: "stopped" satisfies CommandCode,
      message: "stopped by a signal",
      hint: null,
    });
    io.stderr("stopped");
    return stoppedStatus(io.signal);
  }
  const message = error instanceof Error ? error.message : String(error);
  io.emit({ event: "error", code: "internal" satisfies CommandCode, message, hint: null });
  io.stderr(error instanceof Error ? (error.stack ?? message) : message);
  return exitStatus(error);
}
