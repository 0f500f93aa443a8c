/** @file How servers and workers tell of what goes wrong with jobs, and is tried again. */
import { toldWhole } from "../../errors.ts";
import type { TroubleOptions } from "../../jobs/queue/trouble.ts";
import type { CommandIO } from "../command.ts";
import { warn } from "../report.ts";

/** Tells of troubles with the queue of jobs on standard error, and of their end. */
export function troublesTo(io: CommandIO): TroubleOptions {
  return { onTrouble: (error) => warn(toldWhole(error), io), onRecovered: () => io.stderr("jobs go on") };
}
