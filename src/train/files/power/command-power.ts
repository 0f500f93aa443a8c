/** @file The state of a device from a command that prints JSON, such as `termux-battery-status`; run without a shell. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { delimiter, join, parse } from "node:path";
import { UsageError } from "../../../errors.ts";
import { PowerProblem, type PowerSource, parseReading } from "../../power/reading.ts";

const [TIMEOUT_MS, MAX_BYTES] = [10_000, 1 << 16];
/** Whether a command gets its own process group, so that its child processes can be killed with it. */
const HAS_GROUPS = process.platform !== "win32";

/**
 * Runs a command for each reading: a program with arguments, or a path that may contain spaces.
 * @throws UsageError "usage/flag" when there is no such program
 */
export function commandPower(command: string, timeoutMs = TIMEOUT_MS): PowerSource {
  const [program = "", ...words] = existsSync(command) ? [command] : splitWords(command);
  if (!isProgram(program)) {
    throw new UsageError(
      "usage/flag",
      `Cannot use --power ${JSON.stringify(command)}: it is neither a file nor a program, expected auto, a JSON file or a command that prints JSON`,
      { hint: "Check the name of the program, or give its whole path." },
    );
  }
  return {
    name: command,
    async read() {
      const printed = await run(program, words, timeoutMs);
      return parseReading(printed);
    },
    readEnergy: async () => [],
  };
}

/** Whether a program with this path, or with this name in a folder of PATH, exists. */
function isProgram(program: string): boolean {
  if (program === "") return false;
  const endings = process.platform === "win32" ? ["", ".exe", ".com"] : [""];
  const folders =
    parse(program).dir === "" ? (process.env["PATH"] ?? "/usr/bin:/bin").split(delimiter) : [""];
  return folders.some((folder) => endings.some((ending) => existsSync(join(folder, program + ending))));
}

async function run(program: string, words: readonly string[], timeoutMs: number): Promise<string> {
  try {
    const child = spawn(program, words, {
      stdio: ["ignore", "pipe", "ignore"],
      detached: HAS_GROUPS,
      windowsHide: true,
    });
    return await printedBy(child, timeoutMs);
  } catch (error) {
    if (error instanceof PowerProblem) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    throw new PowerProblem(
      code === "ENOENT" ? "is neither a file nor a program" : `cannot be run (${message})`,
    );
  }
}

/** Reads what a command prints, until it ends or the time is up. @throws PowerProblem; the error of a command that does not start */
async function printedBy(child: ChildProcess, timeoutMs: number): Promise<string> {
  const printed: Uint8Array[] = [];
  let [numBytes, problem] = [0, ""];
  const stop = (why: string): void => {
    problem = why;
    kill(child);
    child.stdout?.destroy();
  };
  child.stdout?.on("data", (bytes: Uint8Array) => {
    printed.push(bytes);
    if ((numBytes += bytes.length) > MAX_BYTES) stop(`prints more than ${MAX_BYTES} bytes`);
  });
  const timer = setTimeout(() => stop(`does not end within ${timeoutMs / 1000} s`), timeoutMs);
  // A process group of its own does not receive the terminal's signals that end graft.
  const killNow = (): void => kill(child);
  process.once("exit", killNow);
  try {
    const [status, signal] = (await once(child, "close")) as [number | null, string | null];
    if (problem === "" && status !== 0) problem = `ends with ${signal ?? `status ${status}`}`;
  } finally {
    clearTimeout(timer);
    process.off("exit", killNow);
  }
  if (problem !== "") throw new PowerProblem(problem);
  return Buffer.concat(printed).toString();
}

/** Kills a command with its child processes. */
function kill(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(HAS_GROUPS ? -child.pid : child.pid, "SIGKILL");
  } catch {
    // They have all ended.
  }
}

/** Splits at spaces, except within quotes. */
export function splitWords(command: string): string[] {
  const words = command.match(/(?:[^\s"']|"[^"]*"|'[^']*')+/g) ?? [];
  return words.map((word) => word.replaceAll(/"([^"]*)"|'([^']*)'/g, "$1$2"));
}
