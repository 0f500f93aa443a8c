/** @file `graft chat` as a process that a signal stops. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { temporaryFolder, writeTinyModel } from "../../../test/tiny/model.ts";

const MAIN = fileURLToPath(new URL("../../../bin/graft.js", import.meta.url));
const root = temporaryFolder();
const model = await writeTinyModel(join(root, "model"));

const SIGNALS = [
  ["SIGTERM", 143],
  ["SIGINT", 130],
] as const;
for (const [signal, expected] of SIGNALS) {
  test(`${signal} ends a chat that waits for a line, with status ${expected} and the word why`, async () => {
    const words = ["chat", "--model", model, "--max-new-tokens", "2", "--json"];
    const child = spawn(process.execPath, [MAIN, ...words], { env: { ...process.env, GRAFT_HOME: root } });
    const errors = text(child.stderr);
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    const nextEvent = async (): Promise<{ event: string; code?: string }> =>
      JSON.parse((await lines.next()).value!) as { event: string; code?: string };
    child.stdin.write("hi\n");
    assert.equal((await nextEvent()).event, "answer");
    child.kill(signal);
    const [[status], told] = await Promise.all([once(child, "close"), nextEvent()]);
    assert.deepEqual([status, told.event, told.code], [expected, "error", "stopped"], await errors);
    assert.equal(await errors, "stopped\n");
  });
}
