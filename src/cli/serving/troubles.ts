/** @file How servers and workers tell of what goes wrong with jobs, and is tried again. */
import { GraftError, toldWhole } from "../../errors.ts";
import type { TroubleOptions } from "../../jobs/queue/trouble.ts";
import type { CommandIO } from "../command.ts";
import { warn } from "../report.ts";

/** Tells of troubles with the queue of jobs on standard error, and of their end. */
export function troublesTo(io: CommandIO): TroubleOptions {
  return {
    onTrouble: (error) => warn(textOf(error), io),
    onRecovered: () => io.stderr("jobs go on"),
  };
}

/** With how to mend it, which nobody else is told. */
function textOf(error: unknown): string {
  if (error instanceof GraftError) return toldWhole(error);
  return error instanceof Error ? error.message : String(error);
}
