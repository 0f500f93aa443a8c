/** @file The routes: what they answer, what they refuse, and in what words. */
import assert from "node:assert/strict";
import { readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { adminKeys } from "../../src/server/access/api-keys.ts";
import { NO_END } from "../../src/engine/serving/serve-request.ts";
import { createApp } from "../../src/server/app.ts";
import { ServerMetrics } from "../../src/server/metrics/metrics.ts";
import { ROUTES } from "../../src/server/routes.ts";
import { processorMs } from "../../src/train/power/processor-ms.ts";
import { temporaryFolder } from "../tiny/model.ts";
import { serveTiny } from "./tiny-server.ts";
import { writeTinyAdapter } from "../tiny/adapter.ts";

const root = temporaryFolder();
const server = await serveTiny(root);
after(() => server.close());

interface Answer {
  readonly status: number;
  readonly body: {
    readonly error: {
      readonly message: string;
      readonly type: string;
      readonly param: unknown;
      readonly code: unknown;
    };
    readonly choices: readonly {
      readonly text: string;
      readonly finish_reason: string;
      readonly logprobs: unknown;
    }[];
    readonly usage: Record<string, number>;
  };
}

async function post(path: string, body: unknown): Promise<Answer> {
  return (await server.post(path, body)) as Answer;
}

const COMPLETION = { model: "tiny", prompt: "ka lo", max_tokens: 6, temperature: 0 };

test("errors are objects of OpenAI's form that name the key", async () => {
  const cases: [string, unknown, number, string, string | null][] = [
    ["/v1/completions", "{", 400, "invalid_json", null],
    ["/v1/completions", { ...COMPLETION, temprature: 1 }, 400, "invalid_value", "temprature"],
    ["/v1/completions", { ...COMPLETION, temperature: "hot" }, 400, "invalid_value", "temperature"],
    [
      "/v1/chat/completions",
      { model: "tiny", messages: [{ role: "usr" }] },
      400,
      "invalid_value",
      "messages[0].role",
    ],
    ["/v1/completions", { ...COMPLETION, model: "tiiny" }, 404, "model_not_found", "model"],
    ["/v1/completions", { ...COMPLETION, max_tokens: 9999 }, 400, "context_length_exceeded", "max_tokens"],
    ["/v1/completions", { ...COMPLETION, prompt: [99_999] }, 400, "invalid_value", "prompt"],
    ["/v1/completions", { ...COMPLETION, prompt: "x".repeat(2e5) }, 413, "body_too_large", null],
    ["/v1/unload_lora_adapter", { lora_name: "nobody" }, 404, "model_not_found", "lora_name"],
    [
      "/v1/load_lora_adapter",
      { lora_name: "x", lora_path: "../model" },
      404,
      "adapter_not_found",
      "lora_path",
    ],
    ["/v1/load_lora_adapter", { lora_name: "tiny", lora_path: "poet" }, 400, "usage/adapter", "lora_name"],
    ["/v1/nothing", {}, 404, "unknown_url", null],
    ["/v1/models", {}, 405, "method_not_allowed", null],
  ];
  for (const [path, body, status, code, param] of cases) {
    const answer = await post(path, body);
    assert.equal(answer.status, status, JSON.stringify(answer.body));
    assert.deepEqual(Object.keys(answer.body.error), ["message", "type", "param", "code"]);
    assert.equal(answer.body.error.code, code);
    assert.equal(answer.body.error.param, param);
    assert.doesNotMatch(answer.body.error.message, /\n\s+at /);
  }
  await server.state.models.load("near", join(root, "adapters", "poet"));
  const misspelt: [string, object, RegExp][] = [
    ["/v1/completions", { ...COMPLETION, model: "tiiny" }, /did you mean "tiny"\?/],
    ["/v1/unload_lora_adapter", { lora_name: "naer" }, /did you mean "near"\?/],
    ["/v1/load_lora_adapter", { lora_name: "x", lora_path: "peot" }, /did you mean "poet"\?/],
    [
      "/chat/completions",
      {},
      /^There is no \/chat\/completions here: did you mean \/v1\/chat\/completions\?$/,
    ],
    ["/v1/v1/completions", {}, /: did you mean \/v1\/completions\?$/],
    ["/v1/completions/", {}, /: did you mean \/v1\/completions\?$/],
    ["//v1//completions", {}, /: did you mean \/v1\/completions\?$/],
    ["/v1/nothing", {}, /^There is no \/v1\/nothing here: see \/openapi\.json for the routes$/],
  ];
  for (const [path, body, message] of misspelt) {
    assert.match((await post(path, body)).body.error.message, message);
  }
  server.state.models.unload("near");
  const endless = await server.post(
    "/v1/completions",
    '{"model": "tiny", "prompt": "ka", "max_tokens": 1e999}',
  );
  assert.match(JSON.stringify(endless.body), /max_tokens is Infinity, expected/);
  assert.deepEqual(server.errors, []);
});

test("more new tokens than there is room for are told alone, whatever the prompt has", async () => {
  const asked = { model: "tiny", max_tokens: 1e9, messages: [{ role: "user", content: "ka" }] };
  const { status, body } = await post("/v1/chat/completions", asked);
  const { error } = body;
  assert.deepEqual([status, error.code, error.param], [400, "context_length_exceeded", "max_tokens"]);
  assert.match(error.message, /^1000000000 new tokens are requested, expected at most \d+ with the prompt$/);
});

test("a text whose length nobody asked for ends with the room that is left", async () => {
  const { maxTokens } = server.state.model;
  const ask = (numTokens: number): Promise<Answer> =>
    post("/v1/completions", { model: "tiny", prompt: Array(numTokens).fill(5), ignore_eos: true });
  for (const [room, numNew] of [
    [20, 16],
    [2, 2],
  ] as const) {
    const { status, body } = await ask(maxTokens - room);
    assert.deepEqual([status, body.usage["completion_tokens"]], [200, numNew]);
    assert.equal(body.choices[0]?.finish_reason, "length");
  }
  const { status, body } = await ask(maxTokens);
  assert.equal(status, 400);
  assert.match(body.error.message, new RegExp(`at most ${maxTokens - 1}, so that one may follow$`));
});

test("a prompt that is far too long is refused by what it has at least, before it is encoded", async () => {
  const long = "ka lo ".repeat(12_000);
  const messages = [{ role: "user", content: long }];
  const cases: [string, object, string, RegExp][] = [
    [
      "/v1/completions",
      { ...COMPLETION, prompt: long },
      "prompt",
      /^The prompt has at least \d+ tokens and 6 new/,
    ],
    [
      "/v1/chat/completions",
      { model: "tiny", messages },
      "messages",
      /^The prompt has at least \d+ tokens, exp/,
    ],
    ["/v1/responses", { model: "tiny", input: long }, "input", /^The prompt has at least \d+ tokens, exp/],
    [
      "/v1/embeddings",
      { model: "tiny", input: ["ka", long] },
      "input[1]",
      /^input\[1\] has at least \d+ tokens/,
    ],
  ];
  for (const [path, body, param, message] of cases) {
    const { status, body: answer } = await post(path, body);
    assert.deepEqual(
      [status, answer.error.code, answer.error.param],
      [400, "context_length_exceeded", param],
    );
    assert.match(answer.error.message, message);
  }
});

test("of a body in which all is wrong the first problems are told, and how many more there are", async () => {
  const messages = Array.from({ length: 2000 }, () => ({ role: "usr" }));
  const { status, body } = await post("/v1/chat/completions", { model: "tiny", messages });
  const { message, param } = body.error;
  assert.deepEqual([status, param], [400, "messages[0].role"]);
  assert.match(message, /^messages\[0\]\.role is "usr", expected .*; and \d+ more$/);
  assert.ok(message.length < 5000, `${message.length} characters`);
  // Keys that nobody knows, too, each of which is held against all that there are.
  const before = processorMs();
  const unknown = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`key${i}`, 1]));
  const long = "k".repeat(10_000);
  const told = await post("/v1/completions", { model: "tiny", prompt: "ka", [long]: 1, ...unknown });
  assert.ok(processorMs() - before < 500, `${processorMs() - before} ms`);
  assert.match(told.body.error.message, /key30 is not a setting; and 4969 more$/);
});

test("an adapter whose file is cut off is told so, and where adapters lie is not", async () => {
  const path = await writeTinyAdapter(join(root, "model"), join(root, "adapters", "cut"), "lora", 4);
  const file = join(path, "adapter_model.safetensors");
  writeFileSync(file, readFileSync(file).subarray(0, -10));
  const answer = await post("/v1/load_lora_adapter", { lora_name: "cut", lora_path: "cut" });
  assert.deepEqual([answer.status, answer.body.error.code], [400, "format/file"]);
  assert.match(
    answer.body.error.message,
    /^Cannot read safetensors file "cut\/adapter_model\.safetensors": \d/,
  );
  // One that was whole when its name was made known.
  server.state.models.register("cut", path);
  const unread =
    /Cannot use adapter \\+"cut\\+": it cannot be read: Cannot read safetensors file \\+"cut\/adapter_model.safetensors\\+": \d+ bytes, expected/;
  for (const stream of [false, true]) {
    const failed = await post("/v1/completions", { ...COMPLETION, model: "cut", stream });
    assert.equal(failed.status, stream ? 200 : 500);
    assert.match(JSON.stringify(failed.body), unread);
  }
  assert.equal(server.errors.splice(0).length, 2);
  server.state.models.unload("cut");
  await post("/v1/load_lora_adapter", { lora_name: "poet", lora_path: "poet" });
  const listed = await (await server.app.request("/v1/models")).text();
  assert.match(listed, /"id":"poet","object":"model".*"root":"poet","parent":"tiny"/);
  assert.ok(!listed.includes(root), listed);
  await post("/v1/unload_lora_adapter", { lora_name: "poet" });
});

test("a link out of the folder of adapters is not followed", async () => {
  const path = await writeTinyAdapter(join(root, "model"), join(root, "elsewhere"), "lora", 3);
  symlinkSync(path, join(root, "adapters", "link"));
  const answer = await post("/v1/load_lora_adapter", { lora_name: "link", lora_path: "link" });
  assert.equal(answer.body.error.code, "adapter_not_found");
  assert.doesNotMatch(answer.body.error.message, /did you mean/);
});

test("a model that is called as a folder of adapters is loaded by the first request, and stays away once it was unloaded", async () => {
  const folder = await writeTinyAdapter(
    join(root, "model"),
    join(root, "adapters", "team", "late"),
    "lora",
    8,
  );
  const ask = (model: string): Promise<Answer> => post("/v1/completions", { ...COMPLETION, model });
  const others = ["/team/late", folder, "./team/late", "team/late/", "team//late", "x/../team/late"];
  for (const name of [...others, "team", "../elsewhere", "link", "", ".", "..", "late\0"]) {
    const { status, body } = await ask(name);
    assert.deepEqual([status, body.error.code], [404, "model_not_found"], name);
  }
  assert.match((await ask("peot")).body.error.message, /did you mean "poet"\?/);
  assert.match((await ask("team/laet")).body.error.message, /did you mean "team\/late"\?/);
  const atOnce = await Promise.all(Array.from({ length: 8 }, () => ask("team/late")));
  const text = atOnce[0]?.body.choices[0]?.text;
  assert.ok(atOnce.every(({ body }) => body.choices[0]?.text === text));
  assert.notEqual(text, (await ask("tiny")).body.choices[0]?.text);
  assert.equal(
    server.state.model.engine.adapters.list().filter(({ name }) => name === "team/late").length,
    1,
  );
  await writeTinyAdapter(join(root, "model"), folder, "road", 9);
  assert.equal((await ask("team/late")).body.choices[0]?.text, text);
  await post("/v1/unload_lora_adapter", { lora_name: "team/late" });
  const gone = await ask("team/late");
  assert.equal(gone.status, 404);
  assert.doesNotMatch(gone.body.error.message, /did you mean "team\/late"/);
  await post("/v1/load_lora_adapter", { lora_name: "team/late", lora_path: "team/late" });
  assert.notEqual((await ask("team/late")).body.choices[0]?.text, text);
  await writeTinyAdapter(join(root, "model"), join(root, "adapters", "team", "later"), "lora", 7);
  const load = { lora_name: "team/later", lora_path: "team/later" };
  const [, meanwhile] = await Promise.all([post("/v1/load_lora_adapter", load), ask("team/later")]);
  assert.equal(meanwhile.status, 200);
  await writeTinyAdapter(join(root, "model"), join(root, "adapters", "team", "last"), "lora", 6);
  assert.equal((await server.app.request("/v1/models/team/last")).status, 200);
  for (const name of ["late", "later", "last"]) server.state.models.unload(`team/${name}`);
});

test("a folder of adapters that cannot be served is told by its name, and not listed", async () => {
  const path = await writeTinyAdapter(join(root, "model"), join(root, "adapters", "broken"), "lora", 4);
  writeFileSync(join(path, "adapter_config.json"), "{");
  for (let i = 0; i < 2; i++) {
    const { status, body } = await post("/v1/completions", { ...COMPLETION, model: "broken" });
    assert.deepEqual([status, body.error.code, body.error.param], [400, "format/json", "model"]);
    assert.match(body.error.message, /"broken\/adapter_config\.json"/);
  }
  assert.ok(!server.state.models.list().some(({ id }) => id === "broken"));
  assert.deepEqual(server.errors, []);
});

test("the same request gives the same text, several texts have seeds of their own", async () => {
  const request = { ...COMPLETION, temperature: 2, seed: 3, n: 3 };
  const [first, again] = [await post("/v1/completions", request), await post("/v1/completions", request)];
  const texts = first.body.choices.map(({ text }) => text);
  assert.deepEqual(
    again.body.choices.map(({ text }) => text),
    texts,
  );
  assert.equal(new Set(texts).size, 3);
  assert.equal(first.body.usage["completion_tokens"], 18);
  const second = await post("/v1/completions", { ...request, seed: 4, n: 1 });
  // OpenAI's seeds have 64 bits, with a sign.
  for (const seed of [2 ** 63, -(2 ** 63)]) {
    assert.equal((await post("/v1/completions", { ...request, seed })).status, 200);
  }
  assert.equal((await post("/v1/completions", { ...request, seed: 0.5 })).body.error.param, "seed");
  assert.equal(second.body.choices[0]?.text, texts[1]);
});

test("a share of 0 is that of the likeliest token alone, as in OpenAI's API", async () => {
  const least = await post("/v1/completions", { ...COMPLETION, temperature: 2, top_p: 0, seed: 3 });
  const greedy = await post("/v1/completions", { ...COMPLETION, temperature: 0 });
  assert.equal(least.body.choices[0]?.text, greedy.body.choices[0]?.text);
});

test("ids that end a text can be others, none, or none before some tokens", async () => {
  const text = async (more: object) => {
    const { body } = await post("/v1/completions", { ...COMPLETION, max_tokens: 12, logprobs: 0, ...more });
    const [{ logprobs, finish_reason: reason } = assert.fail("no text")] = body.choices;
    return { tokens: (logprobs as { tokens: string[] }).tokens, reason };
  };
  const { tokens } = await text({});
  const third = new TextEncoder().encode(tokens[2])[0]!;
  const first = tokens.indexOf(tokens[2]!);
  const stopped = await text({ stop_token_ids: [third] });
  assert.equal(stopped.reason, "stop");
  assert.deepEqual(stopped.tokens.slice(0, first), tokens.slice(0, first));
  const later = await text({ stop_token_ids: [third], min_tokens: 5 });
  assert.ok(later.tokens.length >= 5 && !later.tokens.slice(0, 5).includes(tokens[2]!), later.tokens.join());
  // The model's own id is the likeliest at once, and is passed over.
  const own = { logit_bias: { 257: 100 } };
  assert.equal((await text(own)).reason, "stop");
  assert.deepEqual(
    await text({ ...own, min_tokens: 3, ignore_eos: false }).then(({ reason }) => reason),
    "stop",
  );
  const endless = await text({ ...own, ignore_eos: true });
  assert.deepEqual([endless.reason, endless.tokens.length], ["length", 12]);
});

test("a stop string ends the text before it", async () => {
  const whole =
    (await post("/v1/completions", { ...COMPLETION, max_tokens: 12 })).body.choices[0]?.text ?? "";
  const stop = whole.slice(4, 6);
  const answer = await post("/v1/completions", { ...COMPLETION, max_tokens: 12, stop: [stop, "never"] });
  assert.equal(answer.body.choices[0]?.text, whole.slice(0, whole.indexOf(stop)));
  assert.equal(answer.body.choices[0]?.finish_reason, "stop");
});

test("a bias decides, and log-probabilities are told of the model's own numbers", async () => {
  const answer = await post("/v1/completions", {
    ...COMPLETION,
    max_tokens: 3,
    logit_bias: { 65: 100 },
    logprobs: 2,
  });
  const [choice] = answer.body.choices;
  const logprobs = choice?.logprobs as { tokens: string[]; token_logprobs: number[]; top_logprobs: object[] };
  assert.equal(logprobs.tokens.length, 3);
  assert.equal(new Set(logprobs.tokens).size, 1);
  assert.ok(logprobs.token_logprobs.every((value) => value < 0));
  // The two likeliest, and what was drawn.
  assert.ok(logprobs.top_logprobs.every((top) => Object.keys(top).length === 3));
});

test("keys are asked for where there are any, and pages of other origins are answered where that is said", async () => {
  const guarded = await serveTiny(temporaryFolder(), {
    readKeys: async () => adminKeys(["secret-1", "secret-2"]),
    corsOrigins: ["https://example.org"],
  });
  after(() => guarded.close());
  const ask = async (headers: Record<string, string>) => await guarded.app.request("/v1/models", { headers });
  assert.equal((await ask({})).status, 401);
  assert.equal((await ask({ authorization: "Bearer secret" })).status, 401);
  assert.equal((await ask({ authorization: "Bearer secret-2" })).status, 200);
  assert.equal((await guarded.app.request("/health")).status, 200);
  const allowed = await ask({ origin: "https://example.org", authorization: "Bearer secret-1" });
  assert.equal(allowed.headers.get("access-control-allow-origin"), "https://example.org");
  assert.equal(allowed.headers.get("access-control-expose-headers"), "*", "limits, and when to come again");
  const other = await ask({ origin: "https://example.com", authorization: "Bearer secret-1" });
  assert.equal(other.headers.get("access-control-allow-origin"), null);
  const open = createApp(guarded.state, ROUTES, { readKeys: async () => null, corsOrigins: ["*"] });
  const headers = { origin: "https://example.com", "access-control-request-method": "POST" };
  for (const method of ["GET", "OPTIONS"]) {
    const answer = await open.request("/v1/models", { method, headers });
    assert.equal(answer.headers.get("access-control-allow-origin"), "*", method);
  }
});

test("which adapters texts run with is told as vLLM tells it, and no more names than have labels", async () => {
  const text = await (await server.app.request("/metrics")).text();
  const none = 'max_lora="16",running_lora_adapters="",waiting_lora_adapters="",model_name="tiny"';
  assert.match(text, new RegExp(`^vllm:lora_requests_info\\{${none}\\} 17\\d{8}$`, "m"));
  const { engine } = server.state.model;
  await server.state.models.load("writer", join(root, "adapters", "poet"));
  const written = engine.write({ promptIds: [3, 4], adapter: "writer", maxNewTokens: 50 });
  await written.next();
  const { stats } = engine;
  await written.return(NO_END);
  await post("/v1/unload_lora_adapter", { lora_name: "writer" });
  const waitingAdapters = Array.from({ length: 200 }, (_, i) => `adapter-${i}`);
  const many = await new ServerMetrics("tiny").text({ ...stats, waitingAdapters }, 5);
  const [, running, waiting] =
    /running_lora_adapters="([^"]*)",waiting_lora_adapters="([^"]*)",.*\} 5$/m.exec(many) ?? [];
  assert.equal(running, "writer");
  const listed = waiting?.split(",");
  assert.equal(listed?.length, 100);
  assert.ok(listed.includes("other"));
});

test("each time between two tokens is counted, and one mean a text", async () => {
  const numbers = async (): Promise<number[]> => {
    const text = await (await server.app.request("/metrics")).text();
    return [
      "graft_new_tokens_total",
      "graft_inter_token_latency_seconds_count",
      "vllm:inter_token_latency_seconds_count",
      "vllm:request_time_per_output_token_seconds_count",
    ].map((name) => Number(new RegExp(`^${name}(?:\\{.*\\})? (.+)$`, "m").exec(text)?.[1]));
  };
  const before = await numbers();
  await post("/v1/completions", COMPLETION);
  const [numTokens = 0, ...others] = (await numbers()).map((number, i) => number - before[i]!);
  assert.ok(numTokens > 2);
  assert.deepEqual(others, [numTokens - 1, numTokens - 1, 1]);
});

test("numbers are told in Prometheus's form, and the routes by their schemas", async () => {
  await post("/v1/completions", COMPLETION);
  const text = await (await server.app.request("/metrics")).text();
  assert.match(text, /graft_requests_total\{adapter="tiny",finished_reason="length"\} [1-9]/);
  assert.match(text, /graft_cache_pages_held 0/);
  for (const counted of ["prompt_tokens", "new_tokens", "steps"]) {
    assert.match(text, new RegExp(`# TYPE graft_${counted}_total counter\ngraft_${counted}_total [1-9]`));
  }
  assert.doesNotMatch(text, /# TYPE \w+_total gauge/);
  // The same by the names of vLLM, whose dashboards choose a model.
  assert.match(text, /^vllm:request_success_total\{finished_reason="length",model_name="tiny"\} [1-9]/m);
  for (const name of ["num_requests_running", "num_requests_waiting", "kv_cache_usage_perc"])
    assert.match(text, new RegExp(`^vllm:${name}\\{model_name="tiny"\\} 0$`, "m"));
  const valueOf = (name: string): string | undefined =>
    new RegExp(`^${name}(?:\\{.*\\})? (.+)$`, "m").exec(text)?.[1];
  assert.equal(valueOf("vllm:generation_tokens_total"), valueOf("graft_new_tokens_total"));
  assert.equal(
    valueOf("vllm:time_to_first_token_seconds_count"),
    valueOf("graft_time_to_first_token_seconds_count"),
  );
  assert.ok(Number(valueOf("vllm:request_decode_time_seconds_sum")) > 0);
  const again = await (await server.app.request("/metrics")).text();
  const steps = /^graft_steps_total \d+$/m;
  assert.equal(steps.exec(again)?.[0], steps.exec(text)?.[0], "asking again counts nothing twice");
  const document = (await (await server.app.request("/openapi.json")).json()) as {
    paths: Record<
      string,
      Record<
        string,
        {
          parameters?: readonly { name: string; in: string }[];
          requestBody?: { content: Record<string, { schema: { properties: object } }> };
        }
      >
    >;
  };
  const { schema } =
    document.paths["/v1/chat/completions"]?.["post"]?.requestBody?.content["application/json"] ?? {};
  assert.ok(schema && "messages" in schema.properties);
  const files = document.paths["/v1/files"];
  const form = files?.["post"]?.requestBody?.content["multipart/form-data"]?.schema;
  assert.deepEqual(Object.keys(form?.properties ?? {}), ["file", "purpose"]);
  const namesOf = (path: string): unknown =>
    document.paths[path]?.["get"]?.parameters?.map(({ name }) => name);
  assert.deepEqual(namesOf("/v1/files"), ["after", "limit", "purpose", "order"]);
  assert.deepEqual(namesOf("/v1/fine_tuning/jobs/{id}/events"), ["id", "after", "limit"]);
});
