/** @file What jobs have trained, and an operator has unloaded or would load another adapter in the place of. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { waitFor } from "../process/wait-for.ts";
import { temporaryFolder, writeTinyChats } from "../tiny/model.ts";
import { serveTiny } from "./tiny-server.ts";
import { uploadOf } from "./upload.ts";

const root = temporaryFolder();
const server = await serveTiny(root);
after(() => server.close());

interface Told {
  readonly id: string;
  readonly status: string;
  readonly fine_tuned_model: string;
  readonly error: { readonly code: string; readonly param: string };
}

let name = "";
before(async () => {
  await server.state.fineTuning?.start();
  const data = readFileSync(writeTinyChats(join(root, "chats.jsonl"), 24));
  const file = (await (await server.app.request("/v1/files", uploadOf(data))).json()) as Told;
  const graft = { maxLength: 64, saveEvery: 1, steps: 2, batchSize: 2 };
  const request = { model: "tiny", training_file: file.id, suffix: "lamp", graft };
  const { body } = await server.post("/v1/fine_tuning/jobs", request);
  const { id } = body as Told;
  const job = await waitFor(async () => {
    const told = (await (await server.app.request(`/v1/fine_tuning/jobs/${id}`)).json()) as Told;
    assert.notEqual(told.status, "failed", JSON.stringify(told.error));
    return told.status === "succeeded" ? told : null;
  });
  name = job.fine_tuned_model;
});

const ask = async (model: string): Promise<number> =>
  (await server.post("/v1/completions", { model, prompt: "ka", max_tokens: 2 })).status;

test("no other adapter takes the name of what a job trains", async () => {
  for (const taken of [name, `${name}:ckpt-step-1`, `${name}:ckpt-step-9`]) {
    const { status, body } = await server.post("/v1/load_lora_adapter", {
      lora_name: taken,
      lora_path: "poet",
    });
    const { error } = body as Told;
    assert.deepEqual([status, error.code, error.param], [400, "usage/adapter", "lora_name"]);
  }
  assert.equal(await ask(name), 200);
});

test("a result that was unloaded stays away until it is loaded by its name; its checkpoints stay", async () => {
  assert.equal(await ask(name), 200);
  assert.equal((await server.post("/v1/unload_lora_adapter", { lora_name: name })).status, 200);
  assert.deepEqual([await ask(name), await ask(`${name}:ckpt-step-1`), await ask(name)], [404, 200, 404]);
  assert.equal(
    (await server.post("/v1/load_lora_adapter", { lora_name: name, lora_path: name })).status,
    200,
  );
  assert.equal(await ask(name), 200);
  const none = `${name}:ckpt-step-9`;
  assert.equal(
    (await server.post("/v1/load_lora_adapter", { lora_name: none, lora_path: none })).status,
    404,
  );
});

test("one that was unloaded can be removed", async () => {
  const checkpoint = `${name}:ckpt-step-1`;
  assert.equal((await server.post("/v1/unload_lora_adapter", { lora_name: checkpoint })).status, 200);
  const remove = (): Response | Promise<Response> =>
    server.app.request(`/v1/models/${checkpoint}`, { method: "DELETE" });
  assert.equal((await remove()).status, 200);
  assert.equal(await ask(checkpoint), 404);
});
