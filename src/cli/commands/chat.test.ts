/** @file `graft chat` as a process that ends while it waits or answers. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { noPty, readScreen, runInPty } from "../../../test/process/screen.ts";
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

/** Types a line at the first prompt, then does something while the model answers. */
const typing = (then: string): string =>
  `data:text/javascript,${encodeURIComponent(`
  const { write } = process.stdout;
  process.stdout.write = function (...what) {
    const isPrompt = String(what[0]).includes("> ");
    if (isPrompt) {
      process.stdout.write = write;
      setImmediate(() => {
        process.stdin.emit("data", Buffer.from("hi\\r"));
        setImmediate(() => { ${then} });
      });
    }
    return write.apply(this, what);
  };`)}`;

test("a line typed during an answer is shown when its turn comes", { skip: noPty }, async () => {
  const types = typing('process.stdin.emit("data", Buffer.from("there\\rexit\\r"))');
  const words = ["--import", types, MAIN, "chat", "--model", model, "--max-new-tokens", "4"];
  const { bytes, status } = await runInPty(80, [process.execPath, ...words], {
    ...process.env,
    GRAFT_HOME: root,
  });
  assert.equal(status, 0, bytes);
  const shown = (await readScreen(bytes, 80))
    .map((line) => line.text)
    .filter((line) => line.startsWith("> "));
  assert.deepEqual(shown, ["> hi", "> there", "> exit"], bytes);
});

const ENDS = [
  ["a signal", 'process.kill(process.pid, "SIGTERM")', 143, /stopped\s*$/],
  ["Ctrl-D", 'process.stdin.emit("data", Buffer.from("\\x04"))', 0, /tokens\/s/],
] as const;
for (const [name, what, expected, last] of ENDS) {
  test(
    `${name} during an answer on a terminal ends the chat with status ${expected}`,
    { skip: noPty },
    async () => {
      const words = ["--import", typing(what), MAIN, "chat", "--model", model, "--max-new-tokens", "40"];
      const { bytes, status } = await runInPty(80, [process.execPath, ...words], {
        ...process.env,
        GRAFT_HOME: root,
      });
      assert.equal(status, expected, bytes);
      assert.match(bytes, last);
    },
  );
}
