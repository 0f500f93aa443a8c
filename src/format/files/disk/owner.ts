/**
 * @file Which process a lock or a temporary file belongs to, and whether that process still runs.
 *
 * The system reuses process numbers, after a restart at the latest. So the number is kept together with the process's start time.
 */
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { systemCode } from "../../../messages/system-error.ts";

/** A process on some machine. */
export interface Owner {
  readonly host: string;
  readonly pid: number;
  /** When the process started, only to be compared; null where the system does not tell. */
  readonly startTime: string | null;
}

const HOST = hostname()
  .replaceAll(/[^A-Za-z0-9]/g, "")
  .slice(0, 40);

/** Stands for the start time of a zombie: a process that has ended, whose number is still in use. */
const ENDED = "ended";

function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

/**
 * Start time of a process on Linux: an id of the machine's boot, and clock ticks since then. Null on other systems, and when there
 * is no such process.
 */
function startTimeOf(pid: number): string | null {
  const stat = readIfThere(`/proc/${pid}/stat`);
  const boot = readIfThere("/proc/sys/kernel/random/boot_id");
  if (stat === null || boot === null) return null;
  // The second field is the name of the program in parentheses, which may contain any character.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields[0] === "Z" ? ENDED : `${boot.slice(0, 8)}${fields[19]}`;
}

const MARK = /^([A-Za-z0-9]*)-(\d+)(?:-([A-Za-z0-9]*))?$/;

/** Writes an owner as part of a name of a file. */
export function markOf({ host, pid, startTime }: Owner): string {
  return `${host}-${pid}-${startTime ?? ""}`;
}

/** Parses what `markOf` wrote; null for other texts. */
export function readMark(text: string): Owner | null {
  const [, host, pid, startTime] = MARK.exec(text) ?? [];
  return host === undefined ? null : { host, pid: Number(pid), startTime: startTime || null };
}

/** This process. */
export function thisProcess(): Owner {
  return { host: HOST, pid: process.pid, startTime: startTimeOf(process.pid) };
}

/** Whether the owner has ended. This can be known only on its own machine: false for owners on others. */
export function isGone({ host, pid, startTime }: Owner): boolean {
  if (host !== HOST) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (systemCode(error) === "ESRCH") return true;
  }
  const found = startTimeOf(pid);
  return found === ENDED || (startTime !== null && found !== null && found !== startTime);
}
