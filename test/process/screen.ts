/** @file What somebody sees on a terminal: bytes read by a terminal emulator, and programs run in a pseudo-terminal. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";

import headless from "@xterm/headless";

const NUM_ROWS = 300;

/** One line of the screen. */
interface ScreenLine {
  readonly text: string;
  /** Whether it is the rest of the line above, which was too long. */
  readonly isWrapped: boolean;
}

/** Reads what a terminal of some width shows after these bytes, without the empty lines at the end. */
export async function readScreen(bytes: string, columns: number): Promise<ScreenLine[]> {
  // A terminal driver turns a line feed into carriage return and line feed.
  const terminal = new headless.Terminal({
    cols: columns,
    rows: NUM_ROWS,
    convertEol: true,
    allowProposedApi: true,
  });
  await new Promise<void>((resolve) => terminal.write(bytes, resolve));
  const buffer = terminal.buffer.active;
  const lines = Array.from({ length: buffer.length }, (_, i) => {
    const line = buffer.getLine(i);
    return { text: line?.translateToString(true) ?? "", isWrapped: line?.isWrapped ?? false };
  });
  terminal.dispose();
  return lines.slice(0, lines.findLastIndex(({ text }) => text !== "") + 1);
}

/** Runs a command in a new pseudo-terminal: argv[1] columns, then the command. Copies what it writes, then its status. */
const PTY_PROGRAM = `
import fcntl, os, pty, struct, sys, termios
pid, master = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, int(sys.argv[1]), 0, 0))
    os.execvp(sys.argv[2], sys.argv[2:])
while True:
    try:
        data = os.read(master, 65536)
    except OSError:
        break
    if not data:
        break
    sys.stdout.buffer.write(data)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;

/** How to run a command in a pseudo-terminal on this machine; null: it has nothing for that. */
type PtyRunner = (columns: number, command: readonly string[]) => readonly string[];

const quote = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;

const RUNNERS: readonly PtyRunner[] = [
  (columns, command) => ["python3", "-c", PTY_PROGRAM, String(columns), ...command],
  // That of Linux; elsewhere `script` has other flags, and this fails.
  (columns, command) => [
    "script",
    "-qec",
    `stty cols ${columns} rows 40; exec ${command.map(quote).join(" ")}`,
    "/dev/null",
  ],
];

const isThere = ([file = "", ...args]: readonly string[]): boolean => spawnSync(file, args).status === 0;

const runner = RUNNERS.find((candidate) => isThere(candidate(80, ["true"])));

/** Why no program can be run in a pseudo-terminal here; false: it can. */
export const noPty: string | false =
  runner === undefined ? "neither python3 nor script makes a pseudo-terminal here" : false;

/** A program that waits for somebody to type would wait for ever; none takes as long, not even on a busy machine. */
const LIMIT = { timeout: 300_000, killSignal: "SIGKILL" } as const;

/**
 * Runs a command in a pseudo-terminal of some width, as somebody sees it who watches: a server of CI may run the tests, but
 * the program does not learn of it. Gives what it wrote there, and its exit status; null: it did not end. Where its test file is
 * killed it ends, as at a terminal that is closed.
 */
export async function runInPty(
  columns: number,
  command: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<{ readonly bytes: string; readonly status: number | null }> {
  if (!runner) throw new Error("no pseudo-terminal");
  const [file = "", ...args] = runner(columns, command);
  const child = spawn(file, args, {
    ...LIMIT,
    env: { ...env, CI: undefined, TERM: "xterm" },
    stdio: ["ignore", "pipe", "ignore"],
  });
  const [bytes, [status]] = await Promise.all([text(child.stdout), once(child, "close")]);
  return { bytes, status: status as number | null };
}
