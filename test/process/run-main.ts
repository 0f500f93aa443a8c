/** @file The program inside this process, as it runs without a terminal: its status and what it prints. */
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import type { ListedCommand } from "../../src/cli/command.ts";
import { main } from "../../src/cli/main.ts";

export interface Said {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

interface RunMainOptions {
  readonly signal?: AbortSignal | undefined;
  readonly hasColor?: boolean | undefined;
  /** Those that there are, unless given. */
  readonly commands?: readonly ListedCommand[] | undefined;
}

/** Runs the program with some words of the command line, and an environment of its own. */
export async function runMain(
  words: readonly string[],
  env: NodeJS.ProcessEnv,
  { signal = new AbortController().signal, hasColor = false, commands }: RunMainOptions = {},
): Promise<Said> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const io = { stdout, stderr, env, interactive: false, hasColor, signal, now: () => 0 };
  const status = await main(words, io, commands);
  stdout.end();
  stderr.end();
  return { status, stdout: await text(stdout), stderr: await text(stderr) };
}
