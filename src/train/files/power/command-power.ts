/** @file The state of a device from a command that prints JSON, such as `termux-battery-status`; run without a shell. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { promisify } from "node:util";
import { PowerProblem, type PowerSource, parseReading } from "../../power/reading.ts";

const [TIMEOUT_MS, MAX_BYTES] = [10_000, 1 << 16];

/** Runs a command anew each time: a program with its words, or one whose path may hold spaces. */
export function commandPower(command: string, timeoutMs = TIMEOUT_MS): PowerSource {
  const [program = "", ...words] = existsSync(command) ? [command] : splitWords(command);
  return {
    name: command,
    async read() {
      const printed = await run(program, words, timeoutMs);
      return parseReading(printed);
    },
    readEnergy: async () => [],
  };
}

async function run(program: string, words: readonly string[], timeoutMs: number): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(program, words, {
      timeout: timeoutMs,
      killSignal: "SIGKILL",
      maxBuffer: MAX_BYTES,
      windowsHide: true,
    });
    return stdout;
  } catch (error) {
    throw new PowerProblem(describe(error as ExecError, timeoutMs));
  }
}

type ExecError = Error & { readonly code?: string | number | null; readonly killed?: boolean };

function describe({ code, killed, message }: ExecError, timeoutMs: number): string {
  if (code === "ENOENT") return "is no file and no program";
  if (typeof code === "number") return `ends with status ${code}`;
  if (code === "ERR_CHILD_PROCESS_STDIO_MAXBUFFER") return `prints more than ${MAX_BYTES} bytes`;
  return killed === true ? `does not end within ${timeoutMs / 1000} s` : `cannot be run (${message})`;
}

/** Splits at spaces, but for those within quotes. */
export function splitWords(command: string): string[] {
  const words = command.match(/(?:[^\s"']|"[^"]*"|'[^']*')+/g) ?? [];
  return words.map((word) => word.replaceAll(/"([^"]*)"|'([^']*)'/g, "$1$2"));
}
