/** @file How a failure is told: lines on standard error, one event on standard output in --json mode, an exit status. */
import { exitStatus, GraftError } from "../errors.ts";
import type { CommandIO } from "./command.ts";

const INTERRUPTED_STATUS = 130;

/** Tells a failure and returns the exit status of the process. */
export function reportError(error: unknown, io: CommandIO): number {
  if (error instanceof GraftError) {
    const { code, message, hint } = error;
    io.emit({ event: "error", code, message, hint });
    io.stderr(`${io.color.red(`error[${code}]`)}: ${message}`);
    if (hint !== null) io.stderr(`${io.color.cyan("hint")}: ${hint}`);
    return exitStatus(error);
  }
  if (io.signal.aborted && error instanceof Error && error.name === "AbortError") {
    io.emit({ event: "error", code: "stopped", message: "stopped by a signal", hint: null });
    io.stderr("stopped");
    return INTERRUPTED_STATUS;
  }
  const message = error instanceof Error ? error.message : String(error);
  io.emit({ event: "error", code: "internal", message, hint: null });
  io.stderr(error instanceof Error ? (error.stack ?? message) : message);
  return exitStatus(error);
}
