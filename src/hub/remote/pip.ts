/** @file Downloads one package file from a Python package index through pip; nothing of it is installed or run. */
import { spawn } from "node:child_process";
import { join } from "node:path";

import type { Environment } from "../../environment.ts";
import { disk } from "../../format/files/disk/calls.ts";
import { folderBytes } from "../../format/files/disk/folder-bytes.ts";
import { makeFolders } from "../../format/files/disk/make-folders.ts";
import { UnreachableError } from "../source.ts";
import { systemCode } from "../../messages/system-error.ts";

/** With -I, Python ignores the current folder and paths of the environment, so that code there is not run. */
const PIPS: readonly (readonly [string, ...string[]])[] = [["pip"], ["pip3"], ["python3", "-I", "-m", "pip"]];
const POLL_MS = 250;
/** Only the end of pip's output is kept: it says why pip failed. */
const MAX_STDERR_LENGTH = 65_536;
/** pip ends itself after one time-out; this many without a byte mean that it hangs. */
const HANG_FACTOR = 4;

interface PipOptions {
  readonly env: Environment;
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
  readonly onBytes: (receivedBytes: number) => void;
}

/** Runs one command to its end; `null` when the program does not exist. */
async function runPip(
  command: readonly [string, ...string[]],
  folder: string,
  options: PipOptions,
): Promise<{ status: number | null; stderr: string } | null> {
  const [program, ...args] = command;
  const stop = new AbortController();
  // pip must not see the hub's token.
  const { HF_TOKEN: _, ...env } = options.env;
  const child = spawn(program, args, {
    env: { ...env, TMPDIR: folder, TEMP: folder, TMP: folder },
    stdio: ["ignore", "ignore", "pipe"],
    signal: AbortSignal.any([options.signal, stop.signal]),
  });
  let stderr = "";
  child.stderr
    .setEncoding("utf8")
    .on("data", (chunk: string) => (stderr = (stderr + chunk).slice(-MAX_STDERR_LENGTH)));
  let grownAt = performance.now();
  let lastBytes = 0;
  // pip shows no progress when its output is a pipe, so the growth of its temporary files is measured.
  const poll = setInterval(() => {
    folderBytes(folder)
      .then((bytes) => {
        if (bytes > lastBytes) grownAt = performance.now();
        if (performance.now() - grownAt > options.timeoutMs * HANG_FACTOR)
          throw new UnreachableError("pip hangs");
        lastBytes = bytes;
        options.onBytes(bytes);
      })
      .catch((error: unknown) => stop.abort(error));
  }, POLL_MS);
  try {
    let failure: Error | null = null;
    child.on("error", (error) => (failure = error));
    // A killed pip may write until it has closed; only then can its folder be removed.
    const status = await new Promise<number | null>((resolve) => child.on("close", resolve));
    options.signal.throwIfAborted();
    stop.signal.throwIfAborted();
    if (failure === null) return { status, stderr };
    if (["ENOENT", "EACCES"].includes(systemCode(failure))) return null;
    throw failure;
  } finally {
    clearInterval(poll);
  }
}

/** Removes user names and passwords from the addresses in a text. */
function withoutPasswords(text: string): string {
  return text.replaceAll(/(:\/\/)[^/\s]*@/g, "$1");
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
  await makeFolders(output);
  const seconds = String(Math.max(1, Math.round(options.timeoutMs / 1000)));
  const args = ["download", "--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--no-input"];
  args.push("--progress-bar", "off", "--timeout", seconds, "--retries", "0");
  args.push("--dest", output, `${name}==${version}`);
  for (const pip of PIPS) {
    const result = await runPip([...pip, ...args], folder, options);
    if (result === null) continue;
    const wheel = (await disk().readdir(output)).find((file) => file.endsWith(".whl"));
    if (result.status === 0 && wheel !== undefined) return join(output, wheel);
    // A launcher that is broken (no line with ERROR) must not hide a working pip; an error of pip itself is final.
    const lines = result.stderr.split("\n").filter((line) => line.startsWith("ERROR: "));
    if (lines.length === 0) continue;
    throw new UnreachableError(
      `pip: ${withoutPasswords(lines.at(-1)?.slice("ERROR: ".length).trim() ?? "")}`,
    );
  }
  throw new UnreachableError("pip is not installed");
}
