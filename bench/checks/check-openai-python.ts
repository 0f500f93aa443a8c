/**
 * @file Serves a tiny model and tests it with OpenAI's client for Python: `npm run check:openai-python`.
 *
 * Needs a Python with `openai`: that of `npx graft bench setup`, or GRAFT_PEERS_PYTHON; without one it says so and ends with
 * status 0, so it is not part of `npm run check`.
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { VENV_PYTHON } from "../harness/peers.ts";
import { ServerProcess } from "../../test/soak/server-process.ts";
import { writeTinyChats, writeTinyModel } from "../../test/tiny/model.ts";

const SCRIPT = new URL("../peers/openai_client.py", import.meta.url).pathname;
const KEY = "a-key-of-this-check";

async function check(python: string): Promise<number> {
  const root = mkdtempSync(join(tmpdir(), "graft-openai-"));
  try {
    const model = await writeTinyModel(join(root, "tiny"));
    const words = ["--model", model, "--chat-template", "chatml", "--api-key", KEY];
    const server = new ServerProcess([...words, "--state", join(root, "state")]);
    await server.start();
    const data = writeTinyChats(join(root, "chats.jsonl"), 24);
    const child = spawn(python, [SCRIPT, `${server.url}/v1`, KEY, data], { stdio: "inherit" });
    const [status] = (await once(child, "exit")) as [number | null];
    const ended = await server.end("SIGTERM");
    if (ended !== 0) process.stderr.write(server.errors);
    return status === 0 && ended === 0 ? 0 : 1;
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

const named = process.env["GRAFT_PEERS_PYTHON"];
const python = [named ?? VENV_PYTHON, "python3"].find(
  (each) => spawnSync(each, ["-c", "import openai"]).status === 0,
);
if (python !== undefined) process.exitCode = await check(python);
else process.stdout.write("skipped: no Python with the package openai; name one by GRAFT_PEERS_PYTHON\n");
