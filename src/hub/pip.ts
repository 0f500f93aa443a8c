/** @file One package file from a Python package index, by way of pip; nothing of it is installed or run. */
import { spawn } from "node:child_process";
import { mkdir, readdir, stat } from "node:fs/promises";
import { join } from "node:path";

import { UnreachableError } from "./source.ts";
import { systemCode } from "../system-error.ts";

const PIPS: readonly (readonly [string, ...string[]])[] = [["pip"], ["pip3"], ["python3", "-m", "pip"]];
const POLL_MS = 250;
/** pip stops by itself after one time-out; this many of them without a byte mean that it hangs. */
const HANG_FACTOR = 4;

/** How to run pip. */
export interface PipOptions {
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
  readonly onBytes: (receivedBytes: number) => void;
}

/** Sums the sizes of all files below a folder; files that vanish meanwhile count as nothing. */
async function folderBytes(folder: string): Promise<number> {
  let total = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])) {
    if (entry.isFile())
      total += (await stat(join(entry.parentPath, entry.name)).catch(() => null))?.size ?? 0;
  }
  return total;
}

/** Runs one command to its end; `null` when the program does not exist. */
async function runPip(
  command: readonly [string, ...string[]],
  folder: string,
  options: PipOptions,
): Promise<{ status: number | null; stderr: string } | null> {
  const [program, ...args] = command;
  const hang = new AbortController();
  // pip shows no progress to a pipe, so the growth of its temporary files is the progress.
  const child = spawn(program, args, {
    env: { ...options.env, TMPDIR: folder, TEMP: folder, TMP: folder },
    stdio: ["ignore", "ignore", "pipe"],
    signal: AbortSignal.any([options.signal, hang.signal]),
  });
  let stderr = "";
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  let grownAt = performance.now();
  let lastBytes = 0;
  const poll = setInterval(() => {
    void folderBytes(folder).then((bytes) => {
      if (bytes > lastBytes) grownAt = performance.now();
      if (performance.now() - grownAt > options.timeoutMs * HANG_FACTOR) hang.abort();
      lastBytes = bytes;
      options.onBytes(bytes);
    });
  }, POLL_MS);
  try {
    let failure: Error | null = null;
    child.on("error", (error) => (failure = error));
    // A killed pip still writes until it has closed; only then can its folder be removed.
    const status = await new Promise<number | null>((resolve) => child.on("close", resolve));
    options.signal.throwIfAborted();
    if (hang.signal.aborted) throw new UnreachableError("pip hangs");
    if (failure === null) return { status, stderr };
    if (["ENOENT", "EACCES"].includes(systemCode(failure))) return null;
    throw failure;
  } finally {
    clearInterval(poll);
  }
}

/**
 * Downloads the wheel of a package into `folder` and returns its path; the caller removes the folder.
 * @throws UnreachableError when there is no pip or it fails.
 */
export async function downloadWheel(
  name: string,
  version: string,
  folder: string,
  options: PipOptions,
): Promise<string> {
  const output = join(folder, "wheel");
  await mkdir(output, { recursive: true });
  const seconds = String(Math.max(1, Math.round(options.timeoutMs / 1000)));
  const args = ["download", "--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--no-input"];
  args.push("--progress-bar", "off", "--timeout", seconds, "--retries", "0");
  args.push("--dest", output, `${name}==${version}`);
  for (const pip of PIPS) {
    const result = await runPip([...pip, ...args], folder, options);
    if (result === null) continue;
    const wheel = (await readdir(output)).find((file) => file.endsWith(".whl"));
    if (result.status === 0 && wheel !== undefined) return join(output, wheel);
    // A pip that is only a broken launcher must not hide a working one; a pip that reached for the index has spoken.
    const lines = result.stderr.split("\n").filter((line) => line.startsWith("ERROR: "));
    if (lines.length === 0) continue;
    throw new UnreachableError(`pip: ${lines.at(-1)?.slice("ERROR: ".length).trim()}`);
  }
  throw new UnreachableError("pip is not installed");
}
