import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

import { FailedError } from "../errors.ts";
import { modelsFolderOf } from "./models-folder.ts";
import { isPathLike, parseModelName } from "./model-name.ts";
import { PACKAGE_MODELS } from "./package-models.ts";
import { DEFAULT_MODEL, resolveModel } from "./resolve.ts";

const folder = mkdtempSync(join(tmpdir(), "graft-resolve-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const env = { GRAFT_HOME: folder, HF_HUB_OFFLINE: "1", HF_HOME: join(folder, "hf") };

function makeEntry(name: string, files: Readonly<Record<string, string>>): string {
  const entry = join(folder, "models", name);
  mkdirSync(entry, { recursive: true });
  for (const [file, text] of Object.entries(files)) writeFileSync(join(entry, file), text);
  return entry;
}

test("parseModelName() splits revisions off and knows the short names", () => {
  assert.deepEqual(parseModelName("a/b@v1.2"), { given: "a/b@v1.2", repository: "a/b", revision: "v1.2" });
  assert.deepEqual(parseModelName("gpt2"), { given: "gpt2", repository: "gpt2", revision: null });
  for (const short of ["smollm2-135m-instruct", "SmolLM2-135M-Instruct", DEFAULT_MODEL]) {
    assert.equal(parseModelName(short).repository, "HuggingFaceTB/SmolLM2-135M-Instruct");
  }
});

test("isPathLike() takes what cannot be a repository", () => {
  for (const path of ["./x", "../x", "/x", "~/x", "a/b/c", "x.gguf", ".", "C:\\x", ""]) {
    assert.equal(isPathLike(path), true, path);
  }
  for (const name of ["gpt2", "a/b", "a/b@main", "a.b/c-d_e"]) assert.equal(isPathLike(name), false, name);
});

test("resolveModel() gives an existing path back", async () => {
  assert.deepEqual(await resolveModel(folder), { path: folder, source: "local path" });
  const home = { ...env, HOME: folder };
  assert.deepEqual(await resolveModel("~", { env: home }), { path: folder, source: "local path" });
});

test("resolveModel() fails at once with format/file for a path with nothing there", async () => {
  for (const path of ["./nowhere", "/nowhere/at/all", "~/nowhere", "nowhere.gguf"]) {
    await assert.rejects(resolveModel(path, { env }), { code: "format/file" });
  }
});

test("modelsFolderOf() prefers GRAFT_HOME, then XDG_CACHE_HOME, then the home folder", () => {
  assert.equal(modelsFolderOf({ GRAFT_HOME: "/g", XDG_CACHE_HOME: "/x", HOME: "/h" }), "/g/models");
  assert.equal(modelsFolderOf({ XDG_CACHE_HOME: "/x", HOME: "/h" }), "/x/graft/models");
  assert.equal(modelsFolderOf({ HOME: "/h" }), "/h/.cache/graft/models");
});

test("the cache gives whole folders and single .gguf files", async () => {
  const whole = makeEntry("o--whole", { "config.json": "{}", "model.safetensors": "" });
  assert.deepEqual(await resolveModel("o/whole", { env }), { path: whole, source: "cache" });
  const gguf = makeEntry("o--gguf", { "x.gguf": "" });
  assert.deepEqual(await resolveModel("o/gguf", { env }), { path: join(gguf, "x.gguf"), source: "cache" });
});

test("the cache refuses a folder that lacks a shard, and names it", async () => {
  const index = JSON.stringify({
    weight_map: { a: "model-00001-of-00002.safetensors", b: "model-00002-of-00002.safetensors" },
  });
  makeEntry("o--half", {
    "config.json": "{}",
    "model-00001-of-00002.safetensors": "",
    "model.safetensors.index.json": index,
  });
  await assert.rejects(resolveModel("o/half", { env }), /lacks model-00002-of-00002\.safetensors/);
  writeFileSync(join(folder, "models", "o--half", "model.safetensors.index.json"), "{");
  await assert.rejects(resolveModel("o/half", { env }), /index\.json is not an index of shards/);
});

test("when no source has the model, one error lists every source with its reason and a remedy", async () => {
  const error = await resolveModel("o/none", { env }).catch((error: unknown) => error);
  assert.ok(error instanceof FailedError);
  assert.equal(error.code, "source/unreachable");
  const lines = error.message.split("\n").slice(1);
  assert.deepEqual(
    lines.map((line) => line.trim().split(":")[0]),
    ["local path", "cache", "Hugging Face cache", "Hugging Face hub", "package mirror"],
  );
  assert.match(error.hint ?? "", /HF_ENDPOINT.*models\/o--none/);
});

test("every package model has a plausible checksum, size and file", () => {
  for (const model of PACKAGE_MODELS) {
    assert.match(model.sha256, /^[0-9a-f]{64}$/);
    assert.ok(model.sizeBytes > 0 && model.file.endsWith(".gguf"));
  }
});

test("addresses of the hub are names", () => {
  for (const given of [
    "hf.co/o/n",
    "https://huggingface.co/o/n",
    "http://www.huggingface.co/o/n/",
    "huggingface.co/o/n?library=transformers",
  ]) {
    assert.deepEqual(parseModelName(given), { given, repository: "o/n", revision: null });
  }
  const page = "https://huggingface.co/o/n/tree/v2";
  assert.deepEqual(parseModelName(page), { given: page, repository: "o/n", revision: "v2" });
});

test("names of other tools say what to type instead", async () => {
  const cases: readonly [given: string, what: RegExp, hint: RegExp][] = [
    ["llama3.2:1b", /an Ollama name/, /such as meta-llama\/Llama-3\.2-1B-Instruct\.$/],
    ["qwen2.5:0.5b-instruct-q4_K_M", /an Ollama name/, /such as Qwen\/Qwen2\.5-0\.5B-Instruct\.$/],
    ["gemma3:latest", /an Ollama name/, /such as google\/gemma-3-4b-it\.$/],
    ["some:thing", /an Ollama name/, /SmolLM2/],
    ["o/n-GGUF:Q4_K_M", /the name of a Q4_K_M file/, /such as o\/n\.$/],
    ["hf.co/o/n-GGUF:Q4_K_M", /the name of a Q4_K_M file/, /such as o\/n\.$/],
    ["https://huggingface.co/o/n/resolve/main/x.gguf", /a file of "o\/n" on the hub/, /give its path/],
    ["https://huggingface.co/o/n/blob/main/config.json", /a file of "o\/n"/, /the repository, o\/n\.$/],
    ["https://example.org/model.gguf", /an address/, /Download it/],
  ];
  for (const [given, message, hint] of cases) {
    await assert.rejects(resolveModel(given, { env }), { code: "format/file", message, hint });
  }
});

test("models that Hugging Face's tools fetched are read in place", async () => {
  const hub = join(folder, "hf", "hub");
  const snapshot = (name: string, commit: string): string => {
    const path = join(hub, name, "snapshots", commit);
    mkdirSync(path, { recursive: true });
    for (const file of ["config.json", "model.safetensors"]) writeFileSync(join(path, file), "{}");
    return path;
  };
  const old = snapshot("models--o--fetched", "1111111aaaa");
  const current = snapshot("models--o--fetched", "2222222bbbb");
  mkdirSync(join(hub, "models--o--fetched", "refs"));
  writeFileSync(join(hub, "models--o--fetched", "refs", "main"), "2222222bbbb\n");
  const source = "Hugging Face cache";
  assert.deepEqual(await resolveModel("o/fetched", { env }), { path: current, source });
  assert.deepEqual(await resolveModel("o/fetched@main", { env }), { path: current, source });
  assert.deepEqual(await resolveModel("o/fetched@1111111", { env }), { path: old, source });
  assert.deepEqual(await resolveModel("o/fetched", { env: { ...env, HF_HOME: "", HF_HUB_CACHE: hub } }), {
    path: current,
    source,
  });
  await assert.rejects(resolveModel("o/fetched@v9", { env }), /has no snapshot of v9/);
  const alone = snapshot("models--o--alone", "3333333cccc");
  assert.deepEqual(await resolveModel("o/alone", { env }), { path: alone, source });
  assert.deepEqual(await resolveModel(join(hub, "models--o--alone"), { env }), {
    path: alone,
    source: "local path",
  });
});
