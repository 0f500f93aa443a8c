/** @file `graft serve` as a process: it says where it listens, answers, and stops when it is told to. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { runMain } from "../../test/run-main.ts";
import { writeTinyAdapter } from "../../test/serve/tiny-server.ts";
import { temporaryFolder, writeTinyModel } from "../../test/tiny-model.ts";

const MAIN = fileURLToPath(new URL("../../bin/graft.js", import.meta.url));
const root = temporaryFolder();
const model = await writeTinyModel(join(root, "small"));
const adapter = await writeTinyAdapter(model, join(root, "poet"), "ia3", 1);

test("it says where it listens first, answers, and ends with status 0 at SIGTERM", async () => {
  const words = ["serve", "--model", model, "--adapter", adapter, "--port", "0", "--threads", "1", "--json"];
  const child = spawn(process.execPath, [MAIN, ...words]);
  const errors = text(child.stderr);
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const first = JSON.parse((await lines.next()).value as string) as { event: string; url: string };
  assert.equal(first.event, "listening");
  const models = (await (await fetch(`${first.url}/v1/models`)).json()) as { data: { id: string }[] };
  assert.deepEqual(
    models.data.map(({ id }) => id),
    ["small", "poet"],
  );
  const answer = await fetch(`${first.url}/v1/completions`, {
    method: "POST",
    body: JSON.stringify({ model: "poet", prompt: "ka", max_tokens: 3 }),
  });
  assert.equal(answer.status, 200);
  child.kill("SIGTERM");
  const [status] = (await once(child, "close")) as [number];
  assert.equal(status, 0, await errors);
  assert.deepEqual(JSON.parse((await lines.next()).value as string), { event: "stopped" });
});

test("an address that others reach needs a key, and an adapter that is none is refused", async () => {
  const open = await runMain(["serve", "--model", model, "--host", "0.0.0.0"], {});
  assert.equal(open.status, 2);
  assert.match(open.stderr, /without an API key/);
  const none = await runMain(["serve", "--model", model, "--adapter", `x=${join(root, "none")}`], {});
  assert.notEqual(none.status, 0);
  assert.match(none.stderr, /none/);
});
