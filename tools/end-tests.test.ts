/** @file A file of tests ends, and what it started ends with it, though its test fails or the file is stopped. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { noPty } from "../test/process/screen.ts";
import { waitFor } from "../test/process/wait-for.ts";
import { temporaryFolder } from "../test/tiny/model.ts";

const END_TESTS = new URL("end-tests.js", import.meta.url).href;
/** Three minutes are over soon. */
const FAST = "data:text/javascript,const{setTimeout:s}=globalThis;globalThis.setTimeout=(f,ms)=>s(f,ms/600)";
/** For what would otherwise be waited for for ever. */
const LIMIT = { timeout: 300_000 };
const folder = temporaryFolder();
const { NODE_TEST_CONTEXT: _, ...env } = process.env;

/** Starts Node on a file of one test, which starts a process that waits for ever and writes to the same output. */
function startTest(name: string, { flags, rest }: { flags: readonly string[]; rest: string }) {
  const file = join(folder, `${name}.mjs`);
  const source = `
    import { spawn } from "node:child_process";
    import { createServer } from "node:http";
    import { test } from "node:test";
    test("one", async () => {
      const words = ["--eval", "setInterval(() => {}, 1000)"];
      spawn(process.execPath, words, { stdio: ["ignore", "inherit", "ignore"] });
      ${rest}
    });`;
  writeFileSync(file, source);
  const context = flags.length === 0 ? { NODE_TEST_CONTEXT: "child" } : {};
  const words = [...flags, "--import", FAST, "--import", END_TESTS, file];
  const child = spawn(process.execPath, words, { env: { ...env, ...context } });
  const told: string[] = [];
  child.stdout.on("data", (data: Buffer) => told.push(data.toString()));
  return { child, told };
}

test(
  "a file whose test has failed ends with the processes that it started, and tells what was open",
  LIMIT,
  async () => {
    const rest = "createServer().listen(0); throw new Error('as asked');";
    const { child, told } = startTest("fails", { flags: ["--test"], rest });
    // Not before all have ended that write there.
    assert.deepEqual(await once(child, "close"), [1, null]);
    assert.match(told.join(""), /as asked/);
    assert.match(told.join(""), /After the last test this is still open: .*TCPServerWrap/);
  },
);

test("a file that is killed while it computes takes the processes that it started along", LIMIT, async () => {
  const rest = "console.log('waits'); for (;;);";
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    const { child } = startTest("killed", { flags: [], rest });
    await once(child.stdout, "data");
    child.kill(signal);
    assert.deepEqual(await once(child, "close"), [null, signal]);
  }
});

test(
  "a program in a pseudo-terminal ends with the file that runs it",
  { skip: noPty, ...LIMIT },
  async () => {
    const pidFile = join(folder, "pid");
    const command = ["sh", "-c", `echo $$ > "${pidFile}"; exec sleep 900`];
    const screen = new URL("../test/process/screen.ts", import.meta.url).href;
    const rest = `
    const { runInPty } = await import(${JSON.stringify(screen)});
    await runInPty(80, ${JSON.stringify(command)}, process.env);`;
    const { child } = startTest("terminal", { flags: [], rest });
    const pid = await waitFor(() => existsSync(pidFile) && (Number(readFileSync(pidFile, "utf8")) || null));
    child.kill("SIGKILL");
    await once(child, "close");
    await waitFor(() => !isThere(pid));
  },
);

/** Whether a process lives. */
function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
