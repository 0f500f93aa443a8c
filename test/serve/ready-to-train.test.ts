/** @file What a server that trains has loaded when it begins to listen: its thread is its clients' from then on. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";

const MAIN = join(import.meta.dirname, "../../bin/graft.js");
/** Tells of each module that is loaded, in the stream in which the server says that it listens. */
const TELL = `data:text/javascript,${encodeURIComponent(
  `import { registerHooks } from "node:module";
  registerHooks({ load: (url, context, next) => (console.log("loads " + url), next(url, context)) });`,
)}`;

test("what draws the charts of a training is loaded by then", async () => {
  const root = temporaryFolder();
  const model = await writeTinyModel(join(root, "model"));
  const words = ["serve", "--model", model, "--state", join(root, "state"), "--port", "0", "--json"];
  const child = spawn(process.execPath, ["--import", TELL, MAIN, ...words, "--threads", "1"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  const ended = once(child, "exit");
  const loaded: string[] = [];
  for await (const line of createInterface(child.stdout)) {
    if (line.includes('"listening"')) break;
    loaded.push(line);
  }
  assert.match(loaded.join("\n"), /loads .*\/train\/report\/loss-chart\./);
  child.kill("SIGTERM");
  assert.deepEqual(await ended, [0, null]);
});
