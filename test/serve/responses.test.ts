/** @file The Responses API with OpenAI's own client: the text of a chat in another form. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type OpenAI from "openai";
import { zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";
import { temporaryFolder } from "../tiny/model.ts";
import { listenTiny } from "./tiny-server.ts";
import { waitFor } from "../process/wait-for.ts";

const { server, client } = await listenTiny(temporaryFolder());
const asked = { model: "tiny", input: "ka lo mi", max_output_tokens: 8, temperature: 0 };

test("an answer is the text of the same chat, with the same tokens", async () => {
  const answer = await client.responses.create(asked);
  const chat = await client.chat.completions.create(chatOf(asked));
  assert.notEqual(answer.output_text, "");
  assert.equal(answer.output_text, chat.choices[0]?.message.content);
  assert.deepEqual(
    [answer.status, answer.incomplete_details],
    ["incomplete", { reason: "max_output_tokens" }],
  );
  assert.equal(answer.usage?.input_tokens, chat.usage?.prompt_tokens);
  assert.equal(answer.usage?.output_tokens, chat.usage?.completion_tokens);
  assert.equal(answer.usage?.total_tokens, chat.usage?.total_tokens);
});

test("a stream has the events of the API in their order, and the answer that comes whole", async () => {
  const whole = await client.responses.create(asked);
  const events: OpenAI.Responses.ResponseStreamEvent[] = [];
  for await (const event of await client.responses.create({ ...asked, stream: true })) events.push(event);
  const types = events.map(({ type }) => type);
  assert.deepEqual(
    [...new Set(types)],
    [
      "response.created",
      "response.in_progress",
      "response.output_item.added",
      "response.content_part.added",
      "response.output_text.delta",
      "response.output_text.done",
      "response.content_part.done",
      "response.output_item.done",
      "response.incomplete",
    ],
  );
  assert.deepEqual(
    events.map((event) => event.sequence_number),
    [...events.keys()],
  );
  const deltas = events.flatMap((event) => (event.type === "response.output_text.delta" ? event.delta : []));
  assert.ok(deltas.length > 1);
  assert.equal(deltas.join(""), whole.output_text);
  const last = events.at(-1);
  assert.ok(last?.type === "response.incomplete");
  assert.deepEqual(likeness(last.response), likeness(whole));
  const final = await client.responses.stream(asked).finalResponse();
  assert.equal(final.output_text, whole.output_text);
});

/** An answer without what each has of its own; pages of a prompt that ran before are there. */
function likeness({
  id: _id,
  created_at: _created,
  output_text: _text,
  usage,
  ...rest
}: OpenAI.Responses.Response) {
  const output = rest.output.map((item) => ({ ...item, id: "", ...("call_id" in item && { call_id: "" }) }));
  return { ...rest, output, completed_at: null, tokens: [usage?.input_tokens, usage?.output_tokens] };
}

test("log-probabilities are those of the chat", async () => {
  const [text] = (
    await client.responses.create({ ...asked, include: ["message.output_text.logprobs"], top_logprobs: 2 })
  ).output.flatMap((item) => (item.type === "message" ? item.content : []));
  const chat = await client.chat.completions.create({ ...chatOf(asked), logprobs: true, top_logprobs: 2 });
  assert.ok(text?.type === "output_text");
  assert.equal(text.logprobs?.length, 8);
  assert.deepEqual(text.logprobs, chat.choices[0]?.logprobs?.content);
  const streamed: unknown[] = [];
  const stream = await client.responses.create({
    ...asked,
    include: ["message.output_text.logprobs"],
    top_logprobs: 2,
    stream: true,
  });
  for await (const event of stream)
    if (event.type === "response.output_text.delta") streamed.push(...event.logprobs);
  assert.deepEqual(streamed, text.logprobs);
});

function chatOf({ input, max_output_tokens: most, ...rest }: typeof asked) {
  return { ...rest, messages: [{ role: "user" as const, content: input }], max_completion_tokens: most };
}

test("an answer in a form is parsed by the client", async () => {
  const schema = z.strictObject({ ok: z.boolean(), kind: z.enum(["lamp", "mill"]) });
  const answer = await client.responses.parse({
    model: "tiny",
    input: "ka",
    max_output_tokens: 60,
    text: { format: zodTextFormat(schema, "answer") },
  });
  assert.equal(answer.status, "completed");
  assert.deepEqual(schema.parse(answer.output_parsed), JSON.parse(answer.output_text));
  const any = await client.responses.create({
    model: "tiny",
    input: "ka",
    max_output_tokens: 3,
    text: { format: { type: "json_object" } },
  });
  assert.equal(any.status, "incomplete");
  assert.match(any.output_text, /^\{/);
});

test("an answer says what was asked for, and that it is not kept", async () => {
  const answer = await client.responses.create({
    ...asked,
    instructions: "ka",
    metadata: { a: "b" },
    store: true,
    top_p: 0.5,
    user: "me",
    background: false,
    previous_response_id: null,
    reasoning: { effort: "low" },
    truncation: "auto",
  });
  const { instructions, metadata, top_p, user, max_output_tokens: most, text, tools } = answer;
  assert.deepEqual(
    { instructions, metadata, top_p, user, most, text, tools },
    {
      instructions: "ka",
      metadata: { a: "b" },
      top_p: 0.5,
      user: "me",
      most: 8,
      text: { format: { type: "text" } },
      tools: [],
    },
  );
  assert.equal((answer as unknown as { store: boolean }).store, false);
  await assert.rejects(client.responses.retrieve(answer.id), { status: 404 });
});

test("what is not served is refused by its key, with what to do instead", async () => {
  const items = (...input: object[]): object => ({ input });
  const user = (part: object): object => items({ role: "user", content: [part] });
  const cases: readonly (readonly [object, string, RegExp])[] = [
    [{ previous_response_id: "resp_1" }, "previous_response_id", /send the earlier items/],
    [{ conversation: "conv_1" }, "conversation", /send the earlier items/],
    [{ background: true }, "background", /stream/],
    [{ prompt: { id: "pmpt_1" } }, "prompt", /send instructions/],
    [{ messages: [] }, "messages", /send input/],
    [{ response_format: { type: "text" } }, "response_format", /send text\.format/],
    [{ max_completion_tokens: 3 }, "max_completion_tokens", /send max_output_tokens/],
    [{ logprobs: true }, "logprobs", /send include with "message\.output_text\.logprobs"/],
    [
      { tools: [{ type: "web_search" }] },
      "tools[0].type",
      /"web_search", expected function: this server runs no tools/,
    ],
    [{ tool_choice: { type: "function", name: "go" } }, "tool_choice", /"go", which is not one/],
    [{ tool_choice: "required" }, "tool_choice", /no tools/],
    [{ text: { format: { type: "xml" } } }, "text.format.type", /json_schema/],
    [
      { text: { format: { type: "json_schema", name: "a", schema: { not: {} } } } },
      "text.format.schema.not",
      /not/,
    ],
    [
      {
        tools: [{ type: "function", name: "a", parameters: { properties: { b: { not: {} } } } }],
        tool_choice: "required",
      },
      "tools[0].parameters.properties.b.not",
      /not/,
    ],
    [{ top_logprobs: 2 }, "top_logprobs", /include/],
    [{ input: [] }, "input", /^input is \[\], expected text or a non-empty list of objects$/],
    [{ input: undefined }, "input", /missing/],
    [
      user({ type: "input_image", image_url: "a" }),
      "input[0].content[0]",
      /"input_image", expected input_text/,
    ],
    [user({ type: "input_text" }), "input[0].content[0]", /no text/],
    [items({ type: "item_reference", id: "msg_1" }), "input[0]", /send the item itself/],
    [
      items({ role: "user", content: "ka" }, { type: "web_search_call" }),
      "input[1].type",
      /expected .*function_call/,
    ],
    [items({ type: "function_call", name: "a" }), "input[0].call_id", /missing/],
    [items({ role: "tool", content: "ka" }), "input[0].role", /developer/],
    [{ max_output_tokens: 1e6 }, "max_output_tokens", /expected at most/],
    [{ n: 2 }, "n", /not a setting/],
    [{ stream_options: { include_obfuscation: false } }, "stream_options", /stream/],
    [{ metadata: { a: 1 } }, "metadata.a", /expected/],
  ];
  for (const [changes, param, message] of cases) {
    const { status, body } = (await server.post("/v1/responses", { ...asked, ...changes })) as {
      status: number;
      body: { error: { message: string; param: string } };
    };
    assert.deepEqual([status, body.error.param], [400, param], body.error.message);
    assert.match(body.error.message, message);
  }
  assert.deepEqual(server.errors, []);
});

test("who goes away frees what it held, and a text that fails in the middle says so twice", async () => {
  const long = { model: "tiny", input: "ka", max_output_tokens: 200, ignore_eos: true };
  const stream = await client.responses.create({ ...long, stream: true });
  for await (const event of stream) if (event.type === "response.output_text.delta") break;
  stream.controller.abort();
  await waitFor(() => server.state.model.engine.stats.numRunning === 0);
  assert.equal(server.state.places.numTaken, 0);
  Object.assign(server.state.limits, { requestTimeoutMs: 30 });
  const events: OpenAI.Responses.ResponseStreamEvent[] = [];
  const read = async (): Promise<void> => {
    for await (const event of await client.responses.create({ ...long, stream: true })) events.push(event);
  };
  await assert.rejects(read(), { code: "request_timeout" });
  Object.assign(server.state.limits, { requestTimeoutMs: 600_000 });
  const last = events.at(-1);
  assert.ok(last?.type === "response.failed");
  assert.deepEqual([last.response.status, last.response.error?.code], ["failed", "server_error"]);
  assert.match(last.response.error?.message ?? "", /not completed within/);
});
