/** @file OpenAI's own client, over a socket: texts, streams, adapters, tokens, cancellation, and a stop that waits. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import OpenAI from "openai";
import { listen } from "../../src/server/listening/listen.ts";
import { adminKeys } from "../../src/server/access/api-keys.ts";
import { temporaryFolder } from "../tiny/model.ts";
import { listenTiny, serveTiny } from "./tiny-server.ts";
import { waitFor } from "../process/wait-for.ts";

const { server, url } = await listenTiny(temporaryFolder(), {
  readKeys: async () => adminKeys(["a-long-key"]),
});
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "a-long-key", maxRetries: 0 });
const messages = [{ role: "user" as const, content: "ka lo mi" }];
const asked = { model: "tiny", messages, max_completion_tokens: 8, temperature: 0 };

test("a stream holds what the whole answer holds", async () => {
  const whole = await client.chat.completions.create({ ...asked, logprobs: true, top_logprobs: 2 });
  const stream = await client.chat.completions.create({
    ...asked,
    stream: true,
    stream_options: { include_usage: true },
  });
  let [text, reason, tokens] = ["", "", 0];
  for await (const { choices, usage } of stream) {
    text += choices[0]?.delta.content ?? "";
    reason = choices[0]?.finish_reason ?? reason;
    tokens = usage?.total_tokens ?? tokens;
  }
  const [choice] = whole.choices;
  assert.equal(text, choice?.message.content);
  assert.notEqual(text, "");
  assert.equal(reason, choice?.finish_reason);
  assert.equal(tokens, whole.usage?.total_tokens);
  assert.equal(choice?.logprobs?.content?.length, 8);
  assert.ok(choice?.logprobs?.content?.every(({ top_logprobs: top }) => top.length === 2));
});

test("an answer has the id that the client gave its request where that is short and plain, an error has one too", async () => {
  const idOf = async (headers: Record<string, string>): Promise<string | null | undefined> =>
    (await client.chat.completions.create(asked, { headers }))._request_id;
  assert.equal(await idOf({ "x-request-id": "a_b-1" }), "a_b-1");
  for (const odd of ["a".repeat(129), "a b"]) {
    assert.match((await idOf({ "x-request-id": odd })) ?? "", /^[\w-]{36}$/);
  }
  const stream = client.chat.completions.create({ ...asked, stream: true });
  assert.match((await stream.withResponse()).request_id ?? "", /^[\w-]{36}$/);
  await assert.rejects(client.models.retrieve("none"), { status: 404, requestID: /^[\w-]{36}$/ });
});

test("adapters are loaded, asked for by their name, and forgotten", async () => {
  const load = (name: string): Promise<unknown> =>
    client.post("/load_lora_adapter", { body: { lora_name: name, lora_path: name } });
  await load("poet");
  await load("clerk");
  const listed = (await client.models.list()).data;
  assert.deepEqual(
    listed.map(({ id }) => id),
    ["tiny", "poet", "clerk"],
  );
  const answer = async (model: string): Promise<string | null | undefined> =>
    (await client.chat.completions.create({ ...asked, model })).choices[0]?.message.content;
  const alone = [await answer("tiny"), await answer("poet"), await answer("clerk")];
  assert.equal(new Set(alone).size, 3);
  const together = await Promise.all(["tiny", "poet", "clerk", "poet"].map(answer));
  assert.deepEqual(together, [...alone, alone[1]]);
  await assert.rejects(load("poet"), { status: 400 });
  await client.post("/unload_lora_adapter", { body: { lora_name: "poet" } });
  await assert.rejects(answer("poet"), { status: 404, code: "model_not_found" });
});

test("who goes away frees what it held", async () => {
  const stream = await client.completions.create({
    model: "tiny",
    prompt: "ka",
    max_tokens: 60,
    stream: true,
  });
  for await (const _ of stream) break;
  stream.controller.abort();
  await waitFor(() => server.state.model.engine.stats.numRunning === 0);
  assert.equal(server.state.model.engine.stats.numPagesHeld, 0);
});

test("a wrong key is refused", async () => {
  const stranger = new OpenAI({ baseURL: `${url}/v1`, apiKey: "another", maxRetries: 0 });
  await assert.rejects(stranger.models.list(), { status: 401, code: "invalid_api_key" });
});

test("a port that is taken is refused, and a host that is another machine's", async () => {
  const port = Number(new URL(url).port);
  await assert.rejects(listen(server.app, { host: "127.0.0.1", port }), {
    code: "server/port",
    hint: /another port/,
  });
  await assert.rejects(listen(server.app, { host: "2001:db8::1", port }), {
    code: "server/port",
    message: new RegExp(`^Cannot listen on \\[2001:db8::1\\]:${port}: `),
    hint: /^Give --host an address of this machine/,
  });
});

test("a server that stops lets texts end and takes no more", async () => {
  const other = await serveTiny(temporaryFolder());
  after(() => other.close());
  const listening = await listen(other.app, { host: "127.0.0.1", port: 0 });
  const request = (): Promise<Response> =>
    fetch(`${listening.url}/v1/completions`, {
      method: "POST",
      body: JSON.stringify({
        model: "tiny",
        prompt: "ka",
        max_tokens: 400,
        temperature: 0,
        ignore_eos: true,
      }),
    });
  // Long enough to be seen while it is written, on machines however fast.
  const begun = request();
  await waitFor(() => other.state.model.engine.stats.numRunning > 0);
  other.state.isDraining = true;
  assert.equal((await request()).status, 503);
  const stopped = listening.stop(600_000);
  assert.equal((await begun).status, 200);
  await stopped;
});
