/** @file `graft quickstart` that is stopped and goes on, on a tiny model. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { runMain } from "../../../test/process/run-main.ts";
import { temporaryFolder, writeTinyModel } from "../../../test/tiny/model.ts";
import { main } from "../main.ts";
import { jsonLines } from "../../../test/files/read-json.ts";

test("a quickstart that was stopped goes on with --resume, as its error says", async () => {
  const folder = temporaryFolder();
  const model = await writeTinyModel(join(folder, "tiny"));
  const words = [
    "quickstart",
    "--model",
    model,
    "--output",
    join(folder, "out"),
    "--epochs",
    "0.1",
    "--json",
  ];
  const controller = new AbortController();
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  let text = "";
  stdout.on("data", (bytes) => {
    text += String(bytes);
    if (text.includes('"event":"step"')) controller.abort();
  });
  const terminal = { env: process.env, interactive: false, hasColor: false, now: () => 0 };
  const stopped = await main(words, { ...terminal, stdout, stderr, signal: controller.signal });
  assert.equal(stopped, 130);
  assert.match(text, /"hint":"Continue with the same command and --resume\."/);

  const { status, stdout: resumed, stderr: problems } = await runMain([...words, "--resume"], process.env);
  assert.equal(status, 0, problems);
  const kinds = jsonLines<{ event: string }>(resumed).map(({ event }) => event);
  assert.ok(kinds.includes("resume"), kinds.join());
  assert.equal(kinds.filter((kind) => kind === "answer").length, 3);
});
