/** @file Every key of OpenAI's requests is served, passed over or refused with what to do instead. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import type OpenAI from "openai";
import { temporaryFolder } from "../tiny/model.ts";
import { serveTiny } from "./tiny-server.ts";

const server = await serveTiny(temporaryFolder());
after(() => server.close());

const messages = [{ role: "user", content: [{ type: "text", text: "ka" }] }];
const chat = { model: "tiny", messages, max_tokens: 2, temperature: 0, seed: 1 };
const completion = { model: "tiny", prompt: "ka", max_tokens: 2, temperature: 0 };

interface Answer {
  readonly status: number;
  readonly body: {
    readonly error: { readonly message: string; readonly param: string; readonly code: string };
    readonly choices: unknown;
  };
}

async function ask(path: string, body: object): Promise<Answer> {
  return (await server.post(path, body)) as Answer;
}

test("what asks for nothing that shows in an answer is passed over", async () => {
  const plain = await ask("/v1/chat/completions", chat);
  const full = await ask("/v1/chat/completions", {
    ...chat,
    audio: null,
    frequency_penalty: null,
    functions: null,
    logit_bias: null,
    logprobs: null,
    max_completion_tokens: 2,
    metadata: { a: "b" },
    modalities: ["text"],
    n: null,
    parallel_tool_calls: true,
    prediction: { type: "content", content: "ka" },
    presence_penalty: 0,
    prompt_cache_key: "a",
    prompt_cache_options: {},
    prompt_cache_retention: "24h",
    reasoning_effort: "low",
    response_format: { type: "text" },
    safety_identifier: "a",
    service_tier: "auto",
    stop: null,
    store: true,
    stream: null,
    stream_options: null,
    tool_choice: "none",
    tools: [],
    top_logprobs: null,
    top_p: 1,
    user: "a",
    verbosity: "low",
  });
  assert.equal(full.status, 200, JSON.stringify(full.body));
  assert.deepEqual(full.body.choices, plain.body.choices);
  const rest = { best_of: 1, suffix: "", n: 1, user: "a" };
  assert.equal((await ask("/v1/completions", { ...completion, ...rest })).status, 200);
});

/** Every key that the client knows, with a value that asks for nothing. */
const EVERY_RESPONSE_KEY = {
  access_programs: { cyber: "standard" },
  background: false,
  context_management: null,
  conversation: null,
  image: { context_compression: "disabled" },
  include: ["reasoning.encrypted_content"],
  input: "ka",
  instructions: "",
  max_output_tokens: 2,
  max_tool_calls: 3,
  metadata: null,
  model: "tiny",
  moderation: null,
  parallel_tool_calls: true,
  previous_response_id: null,
  prompt: null,
  prompt_cache_key: "a",
  prompt_cache_options: {},
  prompt_cache_retention: "24h",
  reasoning: { effort: "low", summary: "auto" },
  safety_identifier: "a",
  service_tier: "auto",
  store: true,
  stream: false,
  stream_options: null,
  temperature: 0,
  text: { format: { type: "text" }, verbosity: "low" },
  tool_choice: "auto",
  tools: [],
  top_logprobs: 0,
  top_p: 1,
  truncation: "auto",
  user: "a",
} satisfies Record<keyof OpenAI.Responses.ResponseCreateParamsNonStreaming, unknown>;

test("a request of the Responses API may have every key that the client knows", async () => {
  const { status, body } = await server.post("/v1/responses", EVERY_RESPONSE_KEY);
  assert.equal(status, 200, JSON.stringify(body));
  const { output } = body as { output: { content: { text: string }[] }[] };
  const plain = (await server.post("/v1/chat/completions", { ...chat, seed: null })).body as {
    choices: { message: { content: string } }[];
  };
  assert.equal(output[0]?.content[0]?.text, plain.choices[0]?.message.content);
});

test("what would have to show is refused, all of it at once, with what to do", async () => {
  const both = await ask("/v1/chat/completions", { ...chat, functions: [{}], web_search_options: {} });
  assert.equal(both.status, 400);
  assert.match(both.body.error.message, /functions is not supported: send tools instead; web_search_options/);
  const cases: readonly (readonly [string, object, string])[] = [
    ["/v1/chat/completions", { ...chat, audio: { voice: "a" } }, "audio"],
    ["/v1/chat/completions", { ...chat, modalities: ["text", "audio"] }, "modalities[1]"],
    ["/v1/chat/completions", { ...chat, function_call: "auto" }, "function_call"],
    ["/v1/chat/completions", { ...chat, tools: [{ type: "custom", custom: {} }] }, "tools[0].type"],
    [
      "/v1/chat/completions",
      { ...chat, messages: [{ role: "user", content: [{ type: "image_url", image_url: {} }] }] },
      "messages[0].content[0]",
    ],
    ["/v1/completions", { ...completion, best_of: 3 }, "best_of"],
    ["/v1/completions", { ...completion, suffix: "mi" }, "suffix"],
  ];
  for (const [path, body, param] of cases) {
    const { status, body: answer } = await ask(path, body);
    assert.equal(status, 400);
    assert.equal(answer.error.param, param, answer.error.message);
  }
});

test("vLLM's ways to ask for an answer in a form are refused with OpenAI's", async () => {
  const cases: readonly (readonly [string, object, RegExp])[] = [
    [
      "/v1/chat/completions",
      { ...chat, guided_json: { type: "object" } },
      /guided_json.* in response_format/,
    ],
    ["/v1/completions", { ...completion, structured_outputs: { regex: "a+" } }, / in response_format/],
    ["/v1/responses", { model: chat.model, input: "hi", guided_choice: ["a"] }, / in text\.format.*"enum"/],
  ];
  for (const [path, body, told] of cases) {
    const { status, body: answer } = await ask(path, body);
    assert.equal(status, 400);
    assert.match(answer.error.message, told);
  }
});
