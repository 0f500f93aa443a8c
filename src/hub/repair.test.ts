/** @file A damaged model in the cache is found, and what is damaged, and nothing else, is fetched again. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import {
  assertWhole,
  CONTENT,
  type FakeHub,
  NAME,
  PATIENCE_MS,
  startHub,
} from "../../test/files/fake-hub.ts";
import { resolveModel, type ResolvedModel } from "./resolve.ts";

/** Pulls as the command does: from the cache if all is well there. */
const pull = (fake: FakeHub, verify = true): Promise<ResolvedModel> =>
  resolveModel(NAME, { env: fake.env, verify, timeoutMs: PATIENCE_MS });

/** Files that were asked for since the last look. */
function fetched(fake: FakeHub): string[] {
  const paths = fake.requests.splice(0).flatMap(({ path }) => /\/resolve\/main\/(.+)$/.exec(path)?.[1] ?? []);
  return paths.sort();
}

test("a whole model is verified without a request", async () => {
  const fake = await startHub();
  await pull(fake);
  assert.deepEqual(fetched(fake), Object.keys(CONTENT).sort());
  assert.equal((await pull(fake)).source, "cache");
  assert.equal(fake.requests.length, 0);
});

test("what was cut off, changed, removed or turned into a folder is fetched again, and nothing else", async () => {
  const fake = await startHub();
  const { path } = await pull(fake);
  fetched(fake);
  const weights = join(path, "model.safetensors");
  const damages: [string, () => void][] = [
    ["model.safetensors", () => truncateSync(weights, 1000)],
    ["model.safetensors", () => writeFileSync(weights, Buffer.alloc(300_000))],
    ["config.json", () => rmSync(join(path, "config.json"))],
    ["config.json", () => (rmSync(join(path, "config.json")), mkdirSync(join(path, "config.json")))],
    ["tokenizer.json", () => writeFileSync(join(path, "tokenizer.json"), "[]")],
  ];
  for (const [file, damage] of damages) {
    damage();
    const again = await pull(fake);
    assert.equal(again.source, "Hugging Face hub");
    assertWhole(again.path);
    assert.deepEqual(fetched(fake), [file]);
    assert.deepEqual(readdirSync(fake.models), ["owner--tiny"]);
  }
});

test("a list of files that is damaged itself, or leads out of the folder, is written anew", async () => {
  const fake = await startHub();
  const { path } = await pull(fake);
  const digest = { algorithm: "sha256", hex: "0".repeat(64) };
  const outside = { files: [{ name: "../../x", sizeBytes: 1, digest }] };
  for (const text of ["{", JSON.stringify(outside)]) {
    fetched(fake);
    writeFileSync(join(path, "graft-files.json"), text);
    assertWhole((await pull(fake)).path);
    assert.deepEqual(fetched(fake), []);
  }
});

test("every command finds a wrong size; checksums are computed where that is asked for", async () => {
  const fake = await startHub();
  const { path } = await pull(fake);
  writeFileSync(join(path, "tokenizer.json"), "[]");
  assert.equal((await pull(fake, false)).source, "cache");
  truncateSync(join(path, "model.safetensors"), 1000);
  assertWhole((await pull(fake, false)).path);
});

test("without the hub, the damage is said and the files stay", async () => {
  const fake = await startHub();
  const { path } = await pull(fake);
  truncateSync(join(path, "model.safetensors"), 1000);
  const env = { ...fake.env, HF_HUB_OFFLINE: "1" };
  await assert.rejects(resolveModel(NAME, { env, verify: true }), {
    code: "source/unreachable",
    message: /cache: .*model\.safetensors has 1000 bytes, expected 300000/,
  });
  assert.ok(existsSync(join(path, "model.safetensors")));
});

test("a repair that fails half-way goes on the next time, with what was whole", async () => {
  const fake = await startHub();
  const { path } = await pull(fake);
  truncateSync(join(path, "model.safetensors"), 1000);
  fake.faults.corrupts = true;
  await assert.rejects(pull(fake), { code: "source/corrupt" });
  assert.equal(existsSync(path), false, "a damaged model has no final name");
  fake.faults.corrupts = false;
  fetched(fake);
  assertWhole((await pull(fake)).path);
  assert.deepEqual(fetched(fake), ["model.safetensors"]);
});

test("a folder that somebody put together by hand is taken as it is", async () => {
  const fake = await startHub();
  const path = join(fake.models, "owner--tiny");
  mkdirSync(path, { recursive: true });
  for (const name of ["config.json", "model.safetensors", "notes.txt"])
    writeFileSync(join(path, name), "mine");
  assert.deepEqual(await pull(fake), { path, source: "cache" });
  assert.equal(fake.requests.length, 0);
});
