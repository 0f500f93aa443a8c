import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";

import {
  assertWhole,
  CLOSED_ENDPOINT,
  CONTENT,
  HeldTimers,
  NAME,
  settledBy,
  startHub,
  unreachableMessage,
} from "../../../test/files/fake-hub.ts";
import { resolveModel } from "../resolve.ts";
import type { PullProgress } from "../source.ts";
import { cache } from "./cache.ts";
import { hub } from "./hub.ts";

test("the hub source copies the files that graft reads, and nothing else, into the cache", async () => {
  const fake = await startHub();
  const seen: PullProgress[] = [];
  const { path, source } = await fake.pull({ onProgress: (progress) => seen.push(progress) });
  assert.equal(source, "Hugging Face hub");
  assert.equal(path, join(fake.models, "owner--tiny"));
  assertWhole(path);
  assert.deepEqual(readdirSync(fake.models), ["owner--tiny"]);
  const totalBytes = Object.values(CONTENT).reduce((sum, content) => sum + content.length, 0);
  assert.deepEqual([seen.at(-1)?.receivedBytes, seen.at(-1)?.totalBytes], [totalBytes, totalBytes]);
});

test("the chat template for tools is fetched, which transformers keeps in a folder of its own", async () => {
  const template = Buffer.from("{{ tools }}");
  const more = { "additional_chat_templates/tool_use.jinja": template, "onnx/model.onnx": Buffer.from("x") };
  const fake = await startHub({}, { ...CONTENT, ...more, "additional_chat_templates/rag.jinja": template });
  const { path } = await fake.pull();
  const names = [...Object.keys(CONTENT), "additional_chat_templates", "graft-files.json"];
  assert.deepEqual(new Set(readdirSync(path)), new Set(names));
  assert.deepEqual(readdirSync(join(path, "additional_chat_templates")), ["tool_use.jinja"]);
  const file = join(path, "additional_chat_templates", "tool_use.jinja");
  assert.deepEqual(readFileSync(file), template);
  const numRequests = fake.requests.length;
  await fake.pull({ verify: true, sources: [cache, hub] });
  assert.equal(fake.requests.length, numRequests);
  // One that was changed, or is away with its folder, is fetched again.
  for (const harm of [() => writeFileSync(file, "x"), () => rmSync(dirname(file), { recursive: true })]) {
    harm();
    await fake.pull({ verify: true, sources: [cache, hub] });
    assert.deepEqual(readFileSync(file), template);
  }
});

test("a second resolveModel() finds the model in the cache without a request", async () => {
  const fake = await startHub();
  await fake.pull();
  const before = fake.requests.length;
  const again = await resolveModel(NAME, { env: fake.env });
  assert.equal(again.source, "cache");
  assertWhole(again.path);
  assert.equal(fake.requests.length, before);
});

test("NAME@REVISION asks for that revision and has a cache entry of its own", async () => {
  const fake = await startHub();
  const { path } = await fake.pull({}, `${NAME}@v1`);
  assert.equal(path, join(fake.models, "owner--tiny@v1"));
  assert.ok(fake.requests.every((request) => request.path.includes("/v1")));
  assert.match(await unreachableMessage(fake.pull({}, `${NAME}@v2`)), /HTTP 404, no such model or revision/);
});

test("a broken connection is taken up again where it broke, within one pull", async () => {
  const fake = await startHub({ cuts: [100_000, 50_000] });
  assertWhole((await fake.pull()).path);
  const ranges = fake.requests.filter((request) => request.path.endsWith("model.safetensors"));
  assert.equal(ranges.length, 3);
  assert.equal(ranges[0]?.range, undefined);
  assert.ok(Number(/\d+/.exec(ranges[1]?.range ?? "")?.[0]) > 0);
});

test("a stopped pull leaves no model, and the next one goes on with its bytes", async () => {
  const fake = await startHub({ stallsAfter: 120_000 });
  const stop = new AbortController();
  const onProgress = ({ file, receivedBytes }: PullProgress): void => {
    if (file === "model.safetensors" && receivedBytes > 100_000) stop.abort();
  };
  await assert.rejects(fake.pull({ signal: stop.signal, onProgress }), { name: "AbortError" });
  assert.deepEqual(readdirSync(fake.models), ["owner--tiny.hub.partial"]);
  delete fake.faults.stallsAfter;
  fake.requests.length = 0;
  assertWhole((await fake.pull()).path);
  const asked = fake.requests.filter((request) => request.path.includes("/resolve/"));
  assert.equal(asked.length, 1, "the small files before the weights are not fetched again");
  assert.ok(Number(/\d+/.exec(asked.find((request) => request.range)?.range ?? "")?.[0]) > 90_000);
  assert.deepEqual(readdirSync(fake.models), ["owner--tiny"]);
});

test("a server that ignores ranges makes the file start again", async () => {
  const fake = await startHub({ cuts: [100_000], ignoresRange: true });
  assertWhole((await fake.pull()).path);
});

test("a wrong checksum is source/corrupt and leaves no model", async () => {
  const fake = await startHub({ corrupts: true });
  await assert.rejects(fake.pull(), { code: "source/corrupt" });
  assert.equal(existsSync(join(fake.models, "owner--tiny")), false);
});

test("damaged bytes of an earlier pull are thrown away once the server has the right ones", async () => {
  const fake = await startHub({ corrupts: true, cuts: [100_000, 0, 0, 0, 0, 0, 0, 0, 0] });
  await unreachableMessage(fake.pull());
  delete fake.faults.cuts;
  fake.faults.corrupts = false;
  assertWhole((await fake.pull()).path);
});

test("a silent server is given up after the time-out", async () => {
  const fake = await startHub({ isSilent: true });
  assert.match(await unreachableMessage(fake.pull({ timeoutMs: 100 })), /no answer within 0\.1 s/);
});

test("a download that stalls is given up", async () => {
  const fake = await startHub({ stallsAfter: 1000 });
  const timers = new HeldTimers();
  const given = unreachableMessage(fake.pull({ timeoutMs: 100, sources: timers.sources }));
  const isStalled = (): boolean => fake.requests.some(({ path }) => path.endsWith("model.safetensors"));
  const message = await settledBy(given, () => isStalled() && timers.goOff(300));
  assert.match(message, /less than 16384 bytes within 0\.3 s/);
});

test("each kind of refusal has its own reason", async () => {
  const denied = await startHub({ token: "secret" });
  assert.match(await unreachableMessage(denied.pull()), /HTTP 401, no such model, or it needs HF_TOKEN/);
  assertWhole((await denied.pull({ env: { ...denied.env, HF_TOKEN: "secret" } })).path);
  const broken = await startHub({ status: 503 });
  assert.match(await unreachableMessage(broken.pull()), /HTTP 503 from/);
  const env = { ...broken.env, HF_ENDPOINT: CLOSED_ENDPOINT };
  assert.match(await unreachableMessage(broken.pull({ env })), /the connection was refused/);
  const offline = { ...broken.env, HF_HUB_OFFLINE: "1" };
  assert.match(await unreachableMessage(broken.pull({ env: offline })), /HF_HUB_OFFLINE is set/);
});

test("concurrent pulls of one model all get the whole model", async () => {
  const fake = await startHub();
  const pulls = await Promise.all(Array.from({ length: 4 }, () => fake.pull()));
  for (const { path } of pulls) assertWhole(path);
  assert.deepEqual(readdirSync(fake.models), ["owner--tiny"]);
});
