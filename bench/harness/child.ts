/**
 * @file Runs a child process that prints one JSON object per line; records when each line came and how much memory it took.
 *
 * Time and memory are measured outside the child, in the same way for every side of a comparison.
 */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

import { UsageError } from "../../src/errors.ts";
import { describeFileProblem } from "../../src/messages/system-error.ts";
import { ownStart } from "../../test/process/own-start.ts";

/** A line of the child and the time since its start. */
export interface TimedEvent {
  readonly atMs: number;
  readonly value: Readonly<Record<string, unknown>>;
}

export interface ChildRun {
  readonly events: readonly TimedEvent[];
  readonly wallMs: number;
  /** Largest resident memory, in MiB; null where the system does not tell: it is read from Linux's /proc. */
  readonly peakMb: number | null;
}

const GAUGE_EVERY_MS = 20;
const KEPT_STDERR_CHARACTERS = 4000;

/** Reads the high-water mark of a process's resident memory in MiB; null when it is gone or the system has no /proc. */
export function readPeakMb(pid: number): number | null {
  try {
    const kib = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    return kib === undefined ? null : Number(kib) / 1024;
  } catch {
    return null;
  }
}

/** This process's environment without variables that graft sets for itself, with which PyTorch's steps take a fifth longer. */
function outerEnvironment(): NodeJS.ProcessEnv {
  const { env: own } = ownStart();
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !(name in own)));
}

function parseEvent(line: string): Record<string, unknown> | null {
  if (!line.startsWith("{")) return null;
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return null;
  }
}

function cannotStart(command: string, cause: Error): UsageError {
  return new UsageError("usage/flag", `Cannot start "${command}": ${describeFileProblem(cause)}`, {
    hint: "Name a program that is there and may be run.",
    cause,
  });
}

/** Settings of `runChild`. */
interface ChildOptions {
  readonly environment?: Readonly<Record<string, string>>;
  /** The child is killed after this time; default: never. */
  readonly limitMs?: number;
}

/**
 * Runs a command to its end. Lines that are not JSON objects are ignored.
 * @throws Error with the end of its standard error when it fails, UsageError "usage/flag" when it cannot be started
 */
export async function runChild(
  command: string,
  args: readonly string[],
  { environment = {}, limitMs }: ChildOptions = {},
): Promise<ChildRun> {
  const start = performance.now();
  const child = spawn(command, args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...outerEnvironment(), ...environment },
    killSignal: "SIGKILL",
    ...(limitMs === undefined ? {} : { timeout: limitMs }),
  });
  const events: TimedEvent[] = [];
  let peakMb: number | null = null;
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr = (stderr + text).slice(-KEPT_STDERR_CHARACTERS);
  });
  createInterface({ input: child.stdout }).on("line", (line) => {
    const value = parseEvent(line);
    if (value) events.push({ atMs: performance.now() - start, value });
  });
  // The mark only grows, so that only growth in the last few milliseconds can be missed.
  const gauge = setInterval(() => {
    peakMb = (child.pid === undefined ? null : readPeakMb(child.pid)) ?? peakMb;
  }, GAUGE_EVERY_MS);
  try {
    const status = await new Promise<number | string>((resolve, reject) => {
      child.on("error", (error) => reject(cannotStart(command, error)));
      child.on("close", (code, signal) => resolve(code ?? signal ?? "unknown"));
    });
    if (status !== 0) {
      throw new Error(
        `Cannot run ${command} ${args.join(" ")}: it ended with ${status}, expected 0\n${stderr.trim()}`,
      );
    }
    return { events, wallMs: performance.now() - start, peakMb };
  } finally {
    clearInterval(gauge);
  }
}
