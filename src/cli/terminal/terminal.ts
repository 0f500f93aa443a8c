/** @file The process's streams, environment and signals as one value that tests can replace, and CommandIO made from it. */
import colors from "picocolors";

import type { Environment } from "../../environment.ts";
import { FailedError } from "../../errors.ts";
import { printable, printableInColor, printableJson } from "../../printable.ts";
import type { CommandIO } from "../command.ts";
import { createProgress } from "./progress.ts";
import { StoppedBySignal, reportError, stoppedStatus } from "../report.ts";
import { columnsOf, createScreen } from "./screen.ts";

/** Limits of the width of text for people: longer lines are hard to read, shorter ones have no room for two columns. */
const [MIN_WIDTH, MAX_WIDTH] = [40, 120];
/** Width if there is no terminal. */
export const PLAIN_WIDTH = 100;

/** Signals that ask a process to end: from the keyboard, another program, a terminal that is closed. */
const STOP_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
/** Signals within this time count as one request: `timeout` and service managers signal both a process and its group. */
const ONE_REQUEST_MS = 300;

/** The parts of a process that `main` needs. */
export interface Terminal {
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream;
  readonly env: Environment;
  /** Whether standard error is a terminal that somebody watches. */
  readonly interactive: boolean;
  /** Whether colours may be written: both streams must be terminals, so that no file gets colour codes. */
  readonly hasColor: boolean;
  readonly signal: AbortSignal;
  /** Current time in milliseconds. */
  readonly now: () => number;
}

/** The terminal of the running process; disposing it removes the signal handlers. */
interface ProcessTerminal extends Terminal, Disposable {}

/** Connects to the running process: the first signal that asks it to end aborts `signal`, another ends the process. */
export function openProcessTerminal(): ProcessTerminal {
  const { stdout, stderr, env } = process;
  const controller = new AbortController();
  const interactive = stderr.isTTY && env["TERM"] !== "dumb" && env["CI"] === undefined;
  const now = (): number => performance.now();
  let askedAtMs = -Infinity;
  const onSignal = (name: NodeJS.Signals): void => {
    // A closed terminal sends it more than once: through its shell, and when the shell has ended.
    if (now() - askedAtMs < ONE_REQUEST_MS || (controller.signal.aborted && name === "SIGHUP")) return;
    if (controller.signal.aborted) {
      // Ends the line, so that the shell's prompt does not appear behind a bar.
      if (interactive) stderr.write("\n");
      process.exit(stoppedStatus(controller.signal));
    }
    askedAtMs = now();
    controller.abort(new StoppedBySignal(name));
  };
  for (const name of STOP_SIGNALS) process.on(name, onSignal);
  const terminal: Terminal = {
    stdout,
    stderr,
    env,
    interactive,
    // For a pipe isTTY is undefined, and picocolors would then decide on its own.
    hasColor: ((stdout.isTTY && stderr.isTTY) ?? false) && colors.isColorSupported,
    signal: controller.signal,
    now,
  };
  // Losing the reader does not end a run: the pipe is closed (`graft … | head`), or the terminal is gone.
  const onError = ({ code = "" }: NodeJS.ErrnoException): void => {
    if (code === "EPIPE" || code === "EIO") return;
    const failed = new FailedError(
      "failed/write",
      `Cannot write the output: ${code}, expected space for it`,
      {
        hint: "Free some space on the disk, or send the output elsewhere.",
      },
    );
    process.exit(reportError(failed, createIO(terminal, { json: false })));
  };
  for (const stream of [stdout, stderr]) stream.on("error", onError);
  return {
    ...terminal,
    [Symbol.dispose]() {
      for (const name of STOP_SIGNALS) process.off(name, onSignal);
      // The error handlers stay: buffered output may still meet a closed pipe.
    },
  };
}

/** Waits until a stream has accepted what was written to it. @throws FailedError "failed/write" when its reader has closed it */
async function writtenTo(stream: NodeJS.WritableStream): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      stream.once("error", reject);
      stream.write("", (error) => void (error ?? resolve()));
    });
  } catch (cause) {
    throw new FailedError("failed/write", "Cannot write the output: nobody reads it, expected a reader", {
      hint: "Send the output to a terminal, a file, or a program that reads all of it.",
      cause,
    });
  }
}

/** Makes a command's view of the terminal. */
export function createIO(terminal: Terminal, { json }: { readonly json: boolean }): CommandIO {
  const { stdout, stderr, interactive } = terminal;
  const screen = interactive ? createScreen(stderr) : null;
  const shown = terminal.hasColor ? printableInColor : printable;
  const write = (stream: NodeJS.WritableStream, text: string): void => {
    if (screen) screen.write(stream, `${text}\n`);
    else stream.write(`${text}\n`);
  };
  return {
    stdout: (text) => void (json || write(stdout, shown(text))),
    stderr: (text) => write(stderr, shown(text)),
    endWhenUnread: () => void stdout.once("error", () => process.exit(0)),
    written: () => writtenTo(stdout),
    text: (text) => void (json || write(stdout, columnsOf(stdout) === null ? text : printable(text))),
    emit: (event) => void (json && write(stdout, printableJson(JSON.stringify(event)))),
    json,
    interactive,
    width: Math.min(MAX_WIDTH, Math.max(MIN_WIDTH, columnsOf(stdout) ?? PLAIN_WIDTH)),
    color: colors.createColors(terminal.hasColor) as typeof colors,
    progress: createProgress({ stream: stderr, screen, now: terminal.now }),
    signal: terminal.signal,
    env: terminal.env,
  };
}
