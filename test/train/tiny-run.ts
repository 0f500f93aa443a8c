/** @file Fine-tuning runs on a tiny model, in this process or as the program, and what they leave behind. */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { TrainEvent } from "../../src/train/events.ts";
import type { TrainInput } from "../../src/train/settings/train-input.ts";
import { type TrainResult, train } from "../../src/train/trainer.ts";
import type { TrainHooks } from "../../src/train/train-hooks.ts";

const MAIN = join(import.meta.dirname, "../../bin/graft.js");

/** Settings that all tiny runs share; one thread, so that numbers do not depend on the machine. */
export const TINY_RUN = { method: "lora", rank: 4, batchSize: 2, maxLength: 64, threads: 1, steps: 6 };

/** Runs in this process and collects the events. */
export async function runTiny(
  input: TrainInput,
  hooks: TrainHooks = {},
): Promise<{ result: TrainResult; events: TrainEvent[] }> {
  const events: TrainEvent[] = [];
  const onEvent = (event: TrainEvent): void => {
    events.push(event);
    hooks.onEvent?.(event);
  };
  return { result: await train({ ...TINY_RUN, ...input }, { ...hooks, onEvent }), events };
}

/** The losses of the steps among events. */
export function lossesOf(events: readonly TrainEvent[]): number[] {
  return events.flatMap((event) => (event.event === "step" ? [event.loss] : []));
}

/** Settings as words of the command line. */
export function flagsFor(input: TrainInput): string[] {
  return Object.entries({ ...TINY_RUN, ...input }).flatMap(([key, value]) => {
    if (value === undefined) return [];
    const flag = `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    if (value === true) return [flag];
    return [flag, typeof value === "boolean" ? "off" : JSON.stringify(value).replaceAll('"', "")];
  });
}

/** A run of the program. */
interface ProgramRun {
  readonly child: ChildProcess;
  /** Ends with the exit status, or null and the signal. */
  readonly ended: Promise<{
    status: number | null;
    signal: string | null;
    stderr: string;
    events: unknown[];
  }>;
}

/** Starts `graft train --json`; `onEvent` sees each line. */
export function startProgram(words: readonly string[], onEvent: (event: Event) => void): ProgramRun {
  const child = spawn(process.execPath, [MAIN, "train", "--json", ...words], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const events: Event[] = [];
  let stderr = "";
  child.stderr.on("data", (data: Buffer) => (stderr += data.toString()));
  createInterface({ input: child.stdout }).on("line", (line) => {
    const event = JSON.parse(line) as Event;
    events.push(event);
    onEvent(event);
  });
  const ended = new Promise<Awaited<ProgramRun["ended"]>>((resolve) => {
    child.on("close", (status, signal) => resolve({ status, signal, stderr, events }));
  });
  return { child, ended };
}

/** One line of the program's output. */
interface Event {
  readonly event: string;
  readonly step?: number;
  readonly code?: string;
  readonly message?: string;
  readonly hint?: string | null;
}

/** Bytes of a file of a run. */
export function bytesOf(...parts: readonly string[]): Buffer {
  return readFileSync(join(...parts));
}

/** Every file below a folder with its contents: what must not change when a command fails. */
export function snapshot(folder: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of readdirSync(folder, { recursive: true }) as string[]) {
    const path = join(folder, name);
    found[name] = statSync(path).isDirectory() ? "folder" : readFileSync(path).toString("base64");
  }
  return found;
}
