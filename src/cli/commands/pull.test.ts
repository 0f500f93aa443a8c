/** @file `graft pull` of a model that is on this machine. */
import assert from "node:assert/strict";
import { mkdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { jsonLines } from "../../../test/files/read-json.ts";
import { runMain } from "../../../test/process/run-main.ts";
import { temporaryFolder, writeTinyModel } from "../../../test/tiny/model.ts";

const folder = temporaryFolder();

test("the size of a model is that of its files, also of folders in it, and of no link that leads nowhere", async () => {
  const model = await writeTinyModel(join(folder, "model"));
  const sizeOf = async (): Promise<number> => {
    const { status, stdout, stderr } = await runMain(["pull", model, "--json"], {});
    assert.equal(status, 0, stderr);
    return jsonLines<{ size_bytes: number }>(stdout).at(-1)!.size_bytes;
  };
  const before = await sizeOf();
  assert.ok(before > statSync(join(model, "model.safetensors")).size);
  mkdirSync(join(model, "additional_chat_templates"));
  writeFileSync(join(model, "additional_chat_templates", "tools.jinja"), "12345");
  symlinkSync("nowhere", join(model, "latest"));
  assert.equal(await sizeOf(), before + 5);
});
