/** @file Calls of functions with OpenAI's own client: asked for, streamed, answered, and refused. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type OpenAI from "openai";
import { z } from "zod";
import { temporaryFolder } from "../tiny/model.ts";
import { listenTiny } from "./tiny-server.ts";

/** As Qwen's, in short: calls between marks, arguments as JSON, answers of tools by their role. */
const TEMPLATE =
  "{% if tone %}{{ tone }}|{% endif %}" +
  "{% if tools %}{{ tools | length }} tools: <tool_call></tool_call>|{{ shown and tools | tojson }}{% endif %}" +
  "{% for m in messages %}{{ m.role }}: {{ m.content }}{% for c in (m.tool_calls or []) %}<tool_call>" +
  "{{ c.function.name }} {{ c.function.arguments.city }}</tool_call>{% endfor %}|{% endfor %}";

const root = temporaryFolder();
const template = join(root, "template.jinja");
writeFileSync(template, TEMPLATE);
const { server, client } = await listenTiny(root, { chatTemplate: template });

const parameters = {
  type: "object",
  properties: { city: { enum: ["Rome", "Oslo"] }, days: { type: "integer", minimum: 1, maximum: 9 } },
  required: ["city", "days"],
  additionalProperties: false,
};
const tools: OpenAI.ChatCompletionTool[] = [
  { type: "function", function: { name: "weather", description: "tells it", parameters } },
  { type: "function", function: { name: "now" } },
];
const question = { role: "user" as const, content: "ka" };
const asked = { model: "tiny", messages: [question], tools, max_completion_tokens: 200, seed: 4 };
const weather = { type: "function" as const, function: { name: "weather" } };

function requireWeather(text: string | undefined): void {
  assert.ok(z.fromJSONSchema(parameters as never).safeParse(JSON.parse(text ?? "")).success, text);
}

test("a call that is asked for comes, with arguments by its schema", async () => {
  const answer = await client.chat.completions.create({ ...asked, tool_choice: weather });
  const [choice] = answer.choices;
  assert.equal(choice?.finish_reason, "tool_calls");
  assert.equal(choice?.message.content, null);
  assert.equal(choice?.message.tool_calls?.length, 1);
  const [call] = choice?.message.tool_calls ?? [];
  assert.ok(call?.type === "function" && call.function.name === "weather" && call.id.startsWith("call_"));
  requireWeather(call.function.arguments);
});

test("variables of the template reach it, and take the place of nothing that a request has of its own", async () => {
  const ask = async (chat_template_kwargs: object | null) =>
    (await server.post("/tokenize", { messages: [question], chat_template_kwargs })).body as {
      tokens: number[];
    };
  const plain = await ask(null);
  assert.equal((await ask({ tone: "b" })).tokens.length, plain.tokens.length + 2);
  assert.deepEqual(await ask({ messages: [], tools: [1], add_generation_prompt: 1 }), plain);
  const answer = await client.chat.completions.create({
    model: "tiny",
    messages: [question],
    max_tokens: 1,
    chat_template_kwargs: { tone: "bb" },
  } as OpenAI.ChatCompletionCreateParamsNonStreaming);
  assert.equal(answer.usage?.prompt_tokens, plain.tokens.length + 3);
});

test("where only some may be called, none else is", async () => {
  const now = { type: "function" as const, function: { name: "now" } };
  const ask = (mode: "auto" | "required", allowed: readonly (typeof now)[], n: number) =>
    client.chat.completions.create({
      ...asked,
      n,
      tool_choice: { type: "allowed_tools", allowed_tools: { mode, tools: [...allowed] } },
      ...(mode === "auto" && {
        parallel_tool_calls: false,
        response_format: {
          type: "json_schema",
          json_schema: { name: "answer", schema: { type: "string", enum: ["no"] } },
        },
      }),
    });
  const called = async (...request: Parameters<typeof ask>): Promise<string[]> => {
    const { choices, usage } = await ask(...request);
    const { prompt_tokens: numTokens } = await client.chat.completions
      .create(asked)
      .then((all) => all.usage!);
    assert.equal(usage?.prompt_tokens, numTokens, "the template is told of all");
    const names = choices.flatMap(({ message: { tool_calls: calls } }) =>
      calls ? calls.map((call) => (call.type === "function" ? call.function.name : "")) : [""],
    );
    return [...new Set(names)].toSorted((one, other) => (one < other ? -1 : 1));
  };
  assert.deepEqual(await called("required", [now], 4), ["now"]);
  assert.deepEqual(await called("auto", [now], 12), ["", "now"]);
  assert.deepEqual(await called("required", [weather, now], 12), ["now", "weather"]);
  await assert.rejects(ask("auto", [{ ...now, function: { name: "nov" } }], 1), {
    status: 400,
    param: "tool_choice",
    message: /did you mean "now"/,
  });
  await assert.rejects(ask("auto", [], 1), { status: 400 });
});

test("a stream gives the same calls as deltas", async () => {
  const request = { ...asked, tool_choice: "required" as const, parallel_tool_calls: false };
  const whole = await client.chat.completions.create(request);
  const streamed = await client.chat.completions.stream({ ...request, stream: true }).finalChatCompletion();
  const callsOf = ({ choices }: OpenAI.ChatCompletion): unknown =>
    choices[0]?.message.tool_calls?.map(
      (call) => call.type === "function" && [call.function.name, JSON.parse(call.function.arguments)],
    );
  assert.equal(whole.choices[0]?.message.tool_calls?.length, 1);
  assert.deepEqual(callsOf(streamed), callsOf(whole));
  assert.equal(streamed.choices[0]?.finish_reason, "tool_calls");
});

test("a stream of a forced call has no text, not an empty one, as the whole answer", async () => {
  for (const tool_choice of ["required", weather] as const) {
    const contents: unknown[] = [];
    const all = { ...asked, tool_choice, parallel_tool_calls: false, logprobs: true };
    for await (const { choices } of await client.chat.completions.create({ ...all, stream: true })) {
      const { delta, logprobs } = choices[0]!;
      if ("role" in delta) assert.deepEqual(delta, { role: "assistant", content: null });
      if (logprobs) assert.ok(logprobs.content?.length);
      if ("content" in delta) contents.push(delta.content);
    }
    assert.ok(contents.length > 1);
    assert.deepEqual(new Set(contents), new Set([null]));
    const cut = await client.chat.completions.create({ ...all, max_completion_tokens: 2 });
    assert.deepEqual([cut.choices[0]?.message.content, cut.choices[0]?.finish_reason], [null, "length"]);
  }
  const free = await client.chat.completions.create({ ...asked, max_completion_tokens: 2, stream: true });
  for await (const { choices } of free) {
    const { delta } = choices[0]!;
    if ("role" in delta) assert.deepEqual(delta, { role: "assistant", content: "" });
  }
});

test("where a call may be, it is told from text", async () => {
  const schema = { type: "string", enum: ["no"] };
  const answer = await client.chat.completions.create({
    ...asked,
    n: 12,
    response_format: { type: "json_schema", json_schema: { name: "answer", schema } },
    parallel_tool_calls: false,
  });
  const reasons = new Set<string>();
  for (const { message, finish_reason: reason } of answer.choices) {
    reasons.add(reason);
    if (reason === "stop") assert.equal(message.content, '"no"');
    else assert.ok(message.content === null && message.tool_calls?.length === 1);
  }
  assert.deepEqual([...reasons].sort(), ["stop", "tool_calls"]);
});

test("calls and what tools answer go back through the template", async () => {
  const calls = [
    { id: "call_1", type: "function", function: { name: "weather", arguments: '{"city":"Oslo"}' } },
  ];
  const messages = [
    { role: "user", content: "ka" },
    { role: "assistant", content: null, refusal: null, tool_calls: calls },
    { role: "tool", tool_call_id: "call_1", content: [{ type: "text", text: "rain" }] },
  ];
  const { body } = (await server.post("/tokenize", { messages })) as { body: { tokens: number[] } };
  assert.equal(
    server.state.model.parts.tokenizer.decode(body.tokens),
    "user: ka|assistant: <tool_call>weather Oslo</tool_call>|tool: rain|",
  );
});

test("whole numbers of 64 bits keep their digits, and floats their form, in what the template is told and in what an answer is held to", async () => {
  const id = "9007199254740993";
  const schema = `{"type": "object", "required": ["id"], "properties": {"id": {"type": "integer", "enum": [${id}], "maximum": 9223372036854775807, "minimum": 1.0}}}`;
  const rest = `"tools": [{"type": "function", "function": {"name": "find", "parameters": ${schema}}}]`;
  const messages = '"messages": [{"role": "user", "content": "ka"}]';
  const shown = `{${messages}, ${rest}, "chat_template_kwargs": {"shown": ${id}}}`;
  const { body } = (await server.post("/tokenize", shown)) as { body: { tokens: number[] } };
  const text = server.state.model.parts.tokenizer.decode(body.tokens);
  assert.ok(text.includes(`"enum": [${id}], "maximum": 9223372036854775807, "minimum": 1.0`), text);
  const asked = `{"model": "tiny", ${messages}, ${rest}, "tool_choice": "required", "parallel_tool_calls": false, "temperature": 1.0, "logit_bias": {"3": 1.0}, "seed": -${id}}`;
  const answer = (await server.post("/v1/chat/completions", asked)).body as OpenAI.ChatCompletion;
  const [call] = answer.choices[0]?.message.tool_calls ?? [];
  assert.ok(call?.type === "function" && call.function.arguments.replaceAll(/\s/g, "") === `{"id":${id}}`);
});

test("what cannot be called, or held to, is refused", async () => {
  const cases: readonly (readonly [object, string])[] = [
    [{ tool_choice: { type: "function", function: { name: "wether" } } }, "tool_choice"],
    [{ tools: [], tool_choice: "required" }, "tool_choice"],
    [{ tools: [{ type: "function", function: { name: "a b" } }] }, "tools[0].function.name"],
    [
      {
        tools: [
          { type: "function", function: { name: "a", parameters: { properties: { b: { not: {} } } } } },
        ],
        tool_choice: "required",
      },
      "tools[0].function.parameters.properties.b.not",
    ],
  ];
  for (const [changes, param] of cases) {
    const answer = (await server.post("/v1/chat/completions", { ...asked, ...changes })) as {
      status: number;
      body: { error: { param: string; message: string } };
    };
    assert.equal(answer.status, 400);
    assert.equal(answer.body.error.param, param);
    if (param.includes("parameters"))
      assert.match(answer.body.error.message, /^Function "a": .*\/properties\/b\/not /);
  }
});
