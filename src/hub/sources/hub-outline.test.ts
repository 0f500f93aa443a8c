import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { CONTENT, type FakeHub, NAME, startHub, unreachableMessage } from "../../../test/files/fake-hub.ts";
import { keepRates } from "../../../test/files/kept-rates.ts";
import { runMain } from "../../../test/process/run-main.ts";
import { temporaryFolder, writeTinyModel } from "../../../test/tiny/model.ts";
import { resolveModel } from "../resolve.ts";
import { OUTLINE_SOURCES } from "../sources.ts";
import { hubOutline } from "./hub-outline.ts";
import { jsonLines } from "../../../test/files/read-json.ts";

const OUTLINE = { sources: [hubOutline] };

function weightsAskedOf(fake: FakeHub): number {
  return fake.requests.filter(({ path }) => path.endsWith(".safetensors")).length;
}

test("a plan's source fetches the small files once, and no weights", async () => {
  const fake = await startHub();
  const { path } = await fake.pull(OUTLINE);
  assert.equal(path, join(fake.home, "outlines", "owner--tiny"));
  const small = Object.keys(CONTENT).filter((name) => name !== "model.safetensors");
  assert.deepEqual(readdirSync(path).toSorted(), [...small, "graft-files.json"].toSorted());
  assert.equal(weightsAskedOf(fake), 0);
  assert.ok(!existsSync(fake.models));
  const numRequests = fake.requests.length;
  assert.equal((await fake.pull(OUTLINE)).path, path);
  assert.equal(fake.requests.length, numRequests);
  rmSync(join(path, "config.json"));
  await fake.pull(OUTLINE);
  assert.deepEqual(readFileSync(join(path, "config.json")), CONTENT["config.json"]);
});

test("what was fetched for a plan is no model for anybody else, and a whole model needs nothing more", async () => {
  const fake = await startHub();
  await fake.pull(OUTLINE);
  const { path } = await fake.pull();
  assert.equal(path, join(fake.models, "owner--tiny"));
  const { source } = await resolveModel(NAME, { env: fake.env, sources: OUTLINE_SOURCES });
  assert.equal(source, "cache");
});

test("weights are fetched too where the configuration does not tell their sizes", async () => {
  for (const config of ['{"quantization_config":{"quant_method":"graft"}}', '{"dtype":"float8_e4m3fn"}']) {
    const fake = await startHub({}, { ...CONTENT, "config.json": Buffer.from(config) });
    assert.equal((await fake.pull(OUTLINE)).path, join(fake.models, "owner--tiny"));
    assert.equal(weightsAskedOf(fake), 1);
  }
});

test("weights in codes are not fetched where settings tell which matrices are so", async () => {
  const config = Buffer.from('{"quantization_config":{"quant_method":"gptq","bits":4,"group_size":128}}');
  const fake = await startHub({}, { ...CONTENT, "config.json": config });
  const { path } = await fake.pull(OUTLINE);
  assert.equal(path, join(fake.home, "outlines", "owner--tiny"));
  assert.equal(weightsAskedOf(fake), 0);
});

test("weights that are quantized as graft does not read are not fetched", async () => {
  const config = Buffer.from('{"quantization_config":{"quant_method":"aqlm"}}');
  const fake = await startHub({}, { ...CONTENT, "config.json": config });
  for (const options of [OUTLINE, {}, {}]) {
    const message = /Cannot open model "owner\/tiny": its weights are quantized by "aqlm"/;
    await assert.rejects(fake.pull(options), { code: "usage/quantization", message });
  }
  assert.equal(weightsAskedOf(fake), 0);
});

test("a hub that does not answer is asked once", async () => {
  const fake = await startHub({ status: 500 });
  assert.match(await unreachableMessage(fake.pull(OUTLINE)), /Hugging Face hub: HTTP 500/);
  assert.equal(fake.requests.length, 1);
});

test("graft plan of a name on the hub says what the whole model needs, without its weights", async () => {
  const model = await writeTinyModel(join(temporaryFolder(), "model"));
  const content = Object.fromEntries(
    readdirSync(model).map((name) => [name, readFileSync(join(model, name))]),
  );
  const fake = await startHub({}, content);
  const env = Object.fromEntries(
    Object.entries(fake.env).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
  await keepRates(env, 1);
  const bytesOf = async (name: string): Promise<unknown> => {
    const words = ["plan", "--model", name, "--max-length", "64", "--threads", "1", "--json"];
    const { status, stdout, stderr } = await runMain(words, env);
    assert.equal(status, 0, stderr);
    return jsonLines(stdout).at(-1)!["bytes"];
  };
  const bytes = await bytesOf(NAME);
  assert.equal(weightsAskedOf(fake), 0);
  assert.deepEqual(bytes, await bytesOf(model));
});
