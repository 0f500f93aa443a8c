/**
 * @file A process in which the blocks of the docs run one after another: starting the program for each takes longer than
 * most of them do. Named pipes in the folder that it is told bring requests, words ended by NUL, and take away the status.
 */
import { readFile, writeFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import { runMain, type Said } from "../process/run-main.ts";

/** Writes the script that stands for npx: it sends its words and folder to the process, and prints what was printed. */
export function callScript(calls: string): string {
  return `#!/bin/sh
printf '%s\\0' "$PWD" "$@" > '${calls}/request'
read -r status < '${calls}/answer'
cat '${calls}/stdout'
cat '${calls}/stderr' >&2
exit "$status"
`;
}

/** Runs the program with words of the command line, or a file as a module. */
async function call([kind, ...words]: readonly string[]): Promise<Said> {
  if (kind === "graft") return await runMain(words, process.env);
  try {
    await import(pathToFileURL(words[0] ?? "").href);
    return { status: 0, stdout: "", stderr: "" };
  } catch (error) {
    return { status: 1, stdout: "", stderr: error instanceof Error ? String(error.stack) : String(error) };
  }
}

async function answerCalls(calls: string): Promise<never> {
  for (;;) {
    const [folder, ...words] = (await readFile(`${calls}/request`, "utf8")).split("\0").slice(0, -1);
    process.chdir(folder!);
    const { status, stdout, stderr } = await call(words);
    await writeFile(`${calls}/stdout`, stdout);
    await writeFile(`${calls}/stderr`, stderr);
    await writeFile(`${calls}/answer`, `${status}\n`);
  }
}

if (import.meta.main) {
  // It ends with the test that began it, however that ends; a thread that waits for a pipe would hold up an exit.
  process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
  await answerCalls(process.argv[2]!);
}
