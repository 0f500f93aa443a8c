/** @file What a server answers is what its document says: of each route, whole and in events, and of errors. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, test } from "node:test";
import { z } from "zod";
import { ERROR_BODY } from "../../src/server/api-error.ts";
import type { Route } from "../../src/server/route.ts";
import { ROUTES } from "../../src/server/routes.ts";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";
import { waitFor } from "../process/wait-for.ts";
import { serveTiny } from "./tiny-server.ts";
import { uploadOf } from "./upload.ts";

const root = temporaryFolder();
const server = await serveTiny(root);
await server.state.fineTuning?.start();
after(() => server.close());
/** Routes whose answers have been looked at. */
const seen = new Set<string>();

type Json = Record<string, unknown>;

function routeOf(method: string, path: string): Route {
  const [plain = ""] = path.split("?");
  const isIt = (route: Route): boolean =>
    route.method === method.toLowerCase() &&
    new RegExp(`^${route.path.replace(/:\w+\{\.\+\}/, ".+").replace(/:\w+/, "[^/]+")}$`).test(plain);
  const route = ROUTES.find(isIt);
  assert.ok(route, path);
  return route;
}

/** Asks, and holds the answer against what its route says. */
async function ask(method: string, path: string, body?: object | FormData, { app } = server): Promise<Json> {
  const { answer, ...route } = routeOf(method, path);
  const sent = body === undefined || body instanceof FormData ? (body ?? null) : JSON.stringify(body);
  const response = await app.request(path, { method, body: sent });
  const text = await response.text();
  assert.equal(response.status, 200, `${path}: ${text}`);
  const type = response.headers.get("content-type") ?? "";
  seen.add(`${route.method} ${route.path}`);
  if (typeof answer.whole === "string") {
    assert.ok(type.startsWith(answer.whole), `${path}: ${type}`);
    return {};
  }
  if (type.startsWith("text/event-stream")) {
    assert.equal(response.headers.get("x-accel-buffering"), "no");
    const events = answer.hasNamedEvents ? namedEvents(text) : eventsBeforeDone(text);
    assert.ok(events.length > 1);
    for (const event of events) requireFits(answer.events!, event, path);
    return {};
  }
  assert.match(type, /^application\/json/);
  return requireFits(answer.whole, JSON.parse(text), path) as Json;
}

function eventsBeforeDone(text: string): unknown[] {
  assert.ok(text.endsWith("data: [DONE]\n\n"));
  const events = text.split("\n\n").filter((line) => line.startsWith("data: {"));
  return events.map((event) => JSON.parse(event.slice(6)) as unknown);
}

/** Events that say their types, and their places among all. */
function namedEvents(text: string): unknown[] {
  const blocks = text.split("\n\n");
  assert.equal(blocks.pop(), "");
  return blocks.map((block, i) => {
    const [, name, data = ""] = /^event: (\S+)\ndata: (\{.*\})$/.exec(block) ?? [];
    const event = JSON.parse(data) as Json;
    assert.deepEqual([event["type"], event["sequence_number"]], [name, i]);
    return event;
  });
}

function requireFits(schema: z.ZodType, value: unknown, path: string): unknown {
  const { success, error } = schema.safeParse(value);
  assert.ok(success, `${path}: ${error && z.prettifyError(error)}\n${JSON.stringify(value)}`);
  return value;
}

const CHAT = { model: "tiny", messages: [{ role: "user", content: "ka" }], max_tokens: 3, seed: 1 };
const TEXT = { model: "tiny", prompt: "ka lo", max_tokens: 3, seed: 1 };
const STREAM = { stream: true, stream_options: { include_usage: true } };

test("texts, embeddings and tokens", async () => {
  await ask("POST", "/v1/chat/completions", { ...CHAT, n: 2, logprobs: true, top_logprobs: 2 });
  await ask("POST", "/v1/chat/completions", { ...CHAT, ...STREAM, logprobs: true, top_logprobs: 2 });
  const parameters = { type: "object", properties: { at: { enum: ["ka"] } }, required: ["at"] };
  const tools = [{ type: "function", function: { name: "go", parameters } }];
  const calling = { ...CHAT, tools, tool_choice: "required", max_tokens: 200, parallel_tool_calls: false };
  const called = await ask("POST", "/v1/chat/completions", calling);
  assert.match(JSON.stringify(called), /"tool_calls":\[/);
  await ask("POST", "/v1/chat/completions", { ...calling, stream: true });
  const flat = { model: "tiny", input: "ka", max_output_tokens: 3, seed: 1 };
  const scored = {
    ...flat,
    include: ["message.output_text.logprobs"],
    top_logprobs: 2,
    metadata: { a: "b" },
  };
  const flatTools = [{ type: "function", name: "go", parameters }];
  const { max_tokens: _max, messages: _messages, ...rest } = calling;
  const flatCalling = { ...rest, input: "ka", tools: flatTools };
  for (const body of [flat, scored, flatCalling]) {
    await ask("POST", "/v1/responses", body);
    await ask("POST", "/v1/responses", { ...body, stream: true });
  }
  assert.match(JSON.stringify(await ask("POST", "/v1/responses", flatCalling)), /"function_call"/);
  await ask("POST", "/v1/completions", { ...TEXT, n: 2 });
  await ask("POST", "/v1/completions", { ...TEXT, echo: true, logprobs: 2 });
  await ask("POST", "/v1/completions", { ...TEXT, ...STREAM, logprobs: 2 });
  await ask("POST", "/v1/embeddings", { model: "poet", input: ["ka", "lo"] });
  await ask("POST", "/v1/embeddings", { model: "tiny", input: "ka", encoding_format: "base64" });
  await ask("POST", "/tokenize", { prompt: "ka" });
  await ask("POST", "/tokenize", { messages: CHAT.messages, return_token_strs: true });
  await ask("POST", "/detokenize", { tokens: [1, 2] });
});

test("classes", async () => {
  const config = { id2label: { 0: "bad", 1: "good" } };
  const model = await writeTinyModel(join(root, "bert"), { modelType: "bert", config });
  const judge = await serveTiny(join(root, "judge"), { model });
  after(() => judge.close());
  await ask("POST", "/classify", { model: "tiny", input: ["ka", "lo"] }, judge);
});

test("documents in the order of a query", async () => {
  const config = { id2label: { 0: "LABEL_0" } };
  const model = await writeTinyModel(join(root, "ranker"), { modelType: "bert", config });
  const ranker = await serveTiny(join(root, "rank"), { model });
  after(() => ranker.close());
  for (const path of ["/v1/rerank", "/v2/rerank", "/rerank"])
    await ask("POST", path, { model: "tiny", query: "ka", documents: ["lo", { text: "mi" }] }, ranker);
});

test("models, and adapters that come and go", async () => {
  await ask("POST", "/v1/load_lora_adapter", { lora_name: "own", lora_path: "clerk" });
  await ask("GET", "/v1/models");
  await ask("GET", "/v1/models/own");
  await ask("GET", "/v1/models/tiny");
  await ask("POST", "/v1/unload_lora_adapter", { lora_name: "own" });
});

test("files, jobs, and what they tell and leave", async () => {
  const { id: file } = await ask("POST", "/v1/files", uploadOf('{"text": "ka lo mi"}\n'.repeat(4)).body);
  await ask("GET", "/v1/files");
  await ask("GET", `/v1/files/${String(file)}`);
  await ask("GET", `/v1/files/${String(file)}/content`);
  const graft = { steps: 2, saveEvery: 1, maxLength: 32, batchSize: 2, evalEvery: 1 };
  const asked = { model: "tiny", training_file: file, validation_file: file, metadata: { by: "me" }, graft };
  const { id } = await ask("POST", "/v1/fine_tuning/jobs", asked);
  const { id: other } = await ask("POST", "/v1/fine_tuning/jobs", {
    ...asked,
    graft: { ...graft, steps: 999 },
  });
  const jobs = "/v1/fine_tuning/jobs";
  for (const command of ["pause", "resume", "cancel"])
    await ask("POST", `${jobs}/${String(other)}/${command}`);
  const done = await waitFor(async () => {
    const job = await ask("GET", `${jobs}/${String(id)}`);
    return job["finished_at"] === null ? null : job;
  });
  assert.equal(done["status"], "succeeded", JSON.stringify(done["error"]));
  await ask("GET", jobs);
  const events = await ask("GET", `${jobs}/${String(id)}/events?limit=100`);
  assert.ok((events["data"] as Json[]).some(({ type }) => type === "metrics"));
  const checkpoints = await ask("GET", `${jobs}/${String(id)}/checkpoints`);
  assert.equal((checkpoints["data"] as Json[]).length, 2);
  await ask("DELETE", `/v1/models/${String(done["fine_tuned_model"])}`);
  await ask("DELETE", `/v1/files/${String(file)}`);
  const failing = await ask("GET", `${jobs}/${String(other)}`);
  assert.equal(failing["status"], "cancelled");
});

test("streams that go on elsewhere, and what a server tells of itself", async () => {
  const body = JSON.stringify({ ...TEXT, max_tokens: 200, ignore_eos: true, stream: true });
  const streamed = await server.app.request("/v1/completions", { method: "POST", body });
  const reader = streamed.body!.pipeThrough(new TextDecoderStream()).getReader();
  const { value = "" } = await reader.read();
  const { id } = JSON.parse(value.slice(6, value.indexOf("\n"))) as { id: string };
  const moved = await ask("POST", `/v1/requests/${id}/export`);
  while (!(await reader.read()).done) continue;
  await ask("POST", "/v1/requests/import", moved);
  for (const path of ["/health", "/ready", "/metrics", "/openapi.json"]) await ask("GET", path);
});

test("every route was asked, and the document has a schema for each answer", async () => {
  const all = ROUTES.map(({ method, path }) => `${method} ${path}`);
  assert.deepEqual([...seen].toSorted(), all.toSorted());
  const document = await ask("GET", "/openapi.json");
  for (const [path, methods] of Object.entries(
    document["paths"] as Record<string, Record<string, unknown>>,
  )) {
    for (const operation of Object.values(methods)) {
      const { responses } = operation as { responses: Record<string, { content?: Record<string, Json> }> };
      const [type = "", content] = Object.entries(responses["200"]?.content ?? {})[0] ?? [];
      const { type: kind, anyOf } = (content?.["schema"] ?? {}) as Json;
      assert.ok(type !== "application/json" || (kind ?? anyOf) !== undefined, path);
      assert.notEqual(type, "", path);
      assert.match(JSON.stringify(responses["default"]), /#\/components\/schemas\/Error/);
    }
  }
  const { schemas } = document["components"] as { schemas: { Error: Json } };
  assert.deepEqual(schemas.Error["required"], ["error"]);
});

test("errors, whole and as the last event", async () => {
  const cases: [string, string, object?][] = [
    ["GET", "/nowhere"],
    ["PUT", "/v1/models"],
    ["GET", "/v1/models/none"],
    ["POST", "/v1/completions", { ...TEXT, temperature: 9 }],
    ["POST", "/v1/completions", { ...TEXT, prompt: "ka ".repeat(9000) }],
    ["POST", "/v1/fine_tuning/jobs", { model: "tiny", training_file: "none" }],
  ];
  for (const [method, path, body] of cases) {
    const answer = await server.app.request(path, { method, body: body ? JSON.stringify(body) : null });
    assert.ok(answer.status >= 400);
    requireFits(ERROR_BODY, await answer.json(), path);
  }
  Object.assign(server.state.limits, { requestTimeoutMs: 1 });
  const body = JSON.stringify({ ...TEXT, max_tokens: 200, ignore_eos: true, stream: true });
  const streamed = await (await server.app.request("/v1/completions", { method: "POST", body })).text();
  const [last = ""] = streamed.split("\n\n").filter((line) => line.includes('"error"'));
  requireFits(ERROR_BODY, JSON.parse(last.slice(6)), "a stream");
});
