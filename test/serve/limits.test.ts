/** @file Limits: what is too much is refused in OpenAI's form, with the time to come again, and takes no memory. */
import assert from "node:assert/strict";
import * as node from "node:fs/promises";
import { after, test } from "node:test";
import { adminKeys } from "../../src/server/access/api-keys.ts";
import { withDisk } from "../../src/format/files/disk/calls.ts";
import { BodyReader } from "../../src/server/requests/read-body.ts";
import { TextPlaces } from "../../src/server/texts/text-places.ts";
import { temporaryFolder } from "../tiny/model.ts";
import { type TinyOptions, serveTiny } from "./tiny-server.ts";
import { waitFor } from "../process/wait-for.ts";

const ASKED = { model: "tiny", prompt: "ka lo", max_tokens: 4, temperature: 0 };

interface Told {
  readonly error?: { readonly code: string; readonly type: string; readonly param: string | null };
  readonly choices?: readonly { readonly text: string; readonly finish_reason: string }[];
  readonly usage?: { readonly completion_tokens: number };
}

async function serve(limits: TinyOptions["limits"] & object, options: TinyOptions = {}) {
  const server = await serveTiny(temporaryFolder(), { ...options, limits });
  after(() => server.close());
  const ask = async (
    body: object,
    headers: Record<string, string> = {},
  ): Promise<{ status: number; headers: Headers; told: Told }> => {
    const init = { method: "POST", body: JSON.stringify(body), headers };
    const answer = await server.app.request("/v1/completions", init);
    return { status: answer.status, headers: answer.headers, told: (await answer.json()) as Told };
  };
  return { server, ask };
}

test("each key has its requests a minute, and is told what is left and when to come again", async () => {
  const keys = adminKeys(["key-one-1", "key-two-2"]);
  const { ask } = await serve({ requestsPerMinute: 2 }, { readKeys: async () => keys });
  const [one, two] = ["one-1", "two-2"].map((key) => ({ authorization: `Bearer key-${key}` }));
  const first = await ask(ASKED, one);
  assert.equal(first.status, 200);
  assert.equal(first.headers.get("x-ratelimit-limit-requests"), "2");
  assert.equal(first.headers.get("x-ratelimit-remaining-requests"), "1");
  assert.match(first.headers.get("x-ratelimit-reset-requests") ?? "", /^[\d.]+s$/);
  assert.equal((await ask(ASKED, one)).status, 200);
  const third = await ask(ASKED, one);
  assert.equal(third.status, 429);
  assert.equal(third.told.error?.type, "rate_limit_error");
  assert.equal(third.told.error?.code, "rate_limit_exceeded");
  assert.ok(Number(third.headers.get("retry-after")) >= 1);
  assert.equal((await ask(ASKED, two)).status, 200);
});

test("a request has so many tokens, and a text without a number of its own takes what is left of them", async () => {
  const { ask } = await serve({ maxRequestTokens: 20 });
  assert.equal((await ask(ASKED)).status, 200);
  for (const more of [{ max_tokens: 40 }, { n: 3 }, { prompt: ["ka", "lo", "mi", "nu"] }]) {
    const { status, told } = await ask({ ...ASKED, ...more });
    assert.equal(status, 400);
    assert.equal(told.error?.code, "too_many_tokens");
    assert.equal(told.error?.param, "max_tokens");
  }
});

test("texts beyond the places are refused at once, and places come back whatever ends the texts", async () => {
  const { server, ask } = await serve({ maxTexts: 2 });
  const many = await ask({ ...ASKED, n: 3 });
  assert.deepEqual([many.status, many.told.error?.code], [400, "too_many_texts"]);
  const answers = await Promise.all([1, 2, 3, 4].map(() => ask(ASKED)));
  const statuses = answers.map(({ status }) => status).sort((a, b) => a - b);
  assert.deepEqual(statuses, [200, 200, 503, 503]);
  const refused = answers.find(({ status }) => status === 503);
  assert.equal(refused?.told.error?.code, "overloaded");
  assert.equal(refused?.headers.get("retry-after"), "1");
  const streamed = await server.app.request("/v1/completions", {
    method: "POST",
    body: JSON.stringify({ ...ASKED, max_tokens: 40, n: 2, stream: true }),
  });
  assert.equal((await ask(ASKED)).status, 503);
  await streamed.body?.cancel();
  await waitFor(() => server.state.places.numTaken === 0);
  assert.equal((await ask(ASKED)).status, 200);
  assert.equal((await ask({ ...ASKED, prompt: [99_999] })).status, 400);
  assert.equal(server.state.places.numTaken, 0);
  assert.equal(server.state.model.engine.stats.numPagesHeld, 0);
});

test("places that are given back twice are given back once", () => {
  const places = new TextPlaces({ maxTexts: 2, maxRequestTokens: null });
  const release = places.take([{ promptIds: [1], maxNewTokens: 1 }]);
  places.take([{ promptIds: [1], maxNewTokens: 1 }]);
  release();
  release();
  assert.equal(places.numTaken, 1);
});

test("texts that take too long end with status 504, in a stream with an event, and give their pages back", async () => {
  const { server, ask } = await serve({ requestTimeoutMs: 1 });
  const late = await ask({ ...ASKED, max_tokens: 200 });
  assert.deepEqual([late.status, late.told.error?.type], [504, "timeout_error"]);
  const streamed = await server.app.request("/v1/completions", {
    method: "POST",
    body: JSON.stringify({ ...ASKED, max_tokens: 200, stream: true }),
  });
  const text = await streamed.text();
  assert.match(text, /"code":"request_timeout"/);
  assert.match(text, /data: \[DONE\]\n\n$/);
  const input = Array.from({ length: 40 }, () => "ka lo mi ".repeat(40));
  const embedded = (await server.post("/v1/embeddings", { model: "tiny", input })) as {
    status: number;
    body: { error: { code: string } };
  };
  assert.deepEqual([embedded.status, embedded.body.error.code], [504, "request_timeout"]);
  const numbers = await (await server.app.request("/metrics")).text();
  const [, own] =
    /^graft_requests_total\{adapter="tiny",finished_reason="aborted"\} (\d+)$/m.exec(numbers) ?? [];
  // Two texts, and of the inputs those that had begun.
  assert.ok(Number(own) > 2, numbers);
  assert.match(
    numbers,
    new RegExp(`^vllm:request_success_total\\{finished_reason="abort",[^}]*\\} ${own}$`, "m"),
  );
  assert.equal(server.state.model.engine.stats.numPagesHeld, 0);
  assert.deepEqual(server.errors, []);
});

test("the time of a request counts while its adapter is read, and nothing is held when that is over", async () => {
  const { server } = await serve({ requestTimeoutMs: 100 });
  const { state } = server;
  const { adapters } = state.model.engine;
  const folder = (await state.adapterRoot?.findNamed("clerk")) ?? "";
  state.models.register("named", folder);
  const gate = Promise.withResolvers<void>();
  const open = async (...args: Parameters<typeof node.open>): Promise<node.FileHandle> => {
    await gate.promise;
    return await node.open(...args);
  };
  const slow = { ...node, open };
  const requests: readonly (readonly [string, object])[] = [
    ["/v1/completions", { ...ASKED, model: "poet" }],
    ["/v1/completions", { ...ASKED, model: "named" }],
    ["/v1/embeddings", { model: "named", input: "ka" }],
    ["/tokenize", { model: "poet", prompt: "ka" }],
    ["/v1/load_lora_adapter", { lora_name: "late", lora_path: "poet" }],
  ];
  for (const [path, body] of requests) {
    const answer = await withDisk(slow, () => server.post(path, body));
    const { error } = answer.body as Told;
    assert.deepEqual([answer.status, error?.code], [504, "request_timeout"], path);
  }
  const body = JSON.stringify({ ...ASKED, model: "named", stream: true });
  const streamed = await withDisk(slow, async () => {
    return await (await server.app.request("/v1/completions", { method: "POST", body })).text();
  });
  assert.match(streamed, /"code":"request_timeout".*\n\ndata: \[DONE\]/);
  assert.equal(state.places.numTaken, 0);
  Object.assign(state.limits, { requestTimeoutMs: 600_000 });
  gate.resolve();
  for (const model of ["poet", "named"]) {
    assert.equal((await server.post("/v1/completions", { ...ASKED, model })).status, 200);
  }
  assert.ok(!adapters.has("late"));
  assert.equal(state.model.engine.stats.numPagesHeld, 0);
  assert.deepEqual(server.errors, []);
});

test("bodies together have a limit too, and count no longer than their request", async () => {
  const reader = new BodyReader({ maxBodyBytes: 10 });
  const contextOf = (size: number): never =>
    ({
      req: {
        header: () => undefined,
        raw: new Request("http://x", { method: "POST", body: "x".repeat(size) }),
      },
    }) as never;
  const held = Promise.withResolvers<void>();
  const reads = Array.from({ length: 8 }, () => reader.read(contextOf(10), () => held.promise));
  await waitFor(() => reader.total >= 80);
  await assert.rejects(
    reader.read(contextOf(1), async () => {}),
    { status: 503, code: "overloaded" },
  );
  held.resolve();
  await Promise.all(reads);
  await assert.rejects(
    reader.read(contextOf(11), async () => {}),
    { status: 413 },
  );
  assert.equal(reader.total, 0);
});

test("texts that are read are refused by the key that has them", async () => {
  const { server } = await serve({ maxRequestTokens: 4 });
  const { status, body } = await server.post("/v1/embeddings", { model: "tiny", input: ["ka lo", "mi"] });
  const { error } = body as { error: { code: string; param: string } };
  assert.deepEqual([status, error.code, error.param], [400, "too_many_tokens", "input"]);
});
