/** @file Items of the Responses API are the messages of a chat: what is asked by both has the same prompt, text, calls and thoughts. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import OpenAI from "openai";
import { THINK } from "../../src/engine/answers/thought-forms.ts";
import { ThoughtReader } from "../../src/engine/answers/thought-reader.ts";
import { NO_END } from "../../src/engine/serving/serve-request.ts";
import { listen } from "../../src/server/listening/listen.ts";
import { readInput } from "../../src/server/responses/input-items.ts";
import { RESPONSE_REQUEST } from "../../src/server/responses/response-request.ts";
import { WrittenResponse, headOf } from "../../src/server/responses/written-response.ts";
import { parseValues } from "../../src/server/route.ts";
import { ChatAnswer } from "../../src/server/texts/chat-answer.ts";
import { temporaryFolder } from "../tiny/model.ts";
import { type TinyServer, serveTiny } from "./tiny-server.ts";
import { processorMs } from "../../src/train/power/processor-ms.ts";

/** Shows all that a message may have. */
const MESSAGES =
  "{% for m in messages %}{{ m.role }}{{ m.tool_call_id }}: {% if m.reasoning_content %}({{ m.reasoning_content }}){% endif %}{{ m.content }}" +
  "{% for c in (m.tool_calls or []) %}<tool_call>{{ c.id }} {{ c.function.name }} {{ c.function.arguments.city }}</tool_call>{% endfor %}|{% endfor %}";
const CALLING =
  "{% if tools %}{{ tools | length }}{% for t in tools %}{{ t.type }} {{ t.function.name }} {{ t.function.description }}|{% endfor %}{% endif %}" +
  MESSAGES;
const THINKING = MESSAGES + "{% if '</think>' %}<think>\n{% endif %}";

async function serve(template: string): Promise<TinyServer> {
  const root = temporaryFolder();
  writeFileSync(join(root, "template.jinja"), template);
  const server = await serveTiny(root, { chatTemplate: join(root, "template.jinja") });
  after(() => server.close());
  return server;
}

const calling = await serve(CALLING);
const thinking = await serve(THINKING);
const client = await clientOf(calling);

async function clientOf({ app }: TinyServer): Promise<OpenAI> {
  const { url, stop } = await listen(app, { host: "127.0.0.1", port: 0 });
  after(() => stop(0));
  return new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
}

const parameters = {
  type: "object",
  properties: { city: { enum: ["Rome", "Oslo"] } },
  required: ["city"],
  additionalProperties: false,
};
const weather = { name: "weather", description: "tells it", parameters, strict: true };
const now = { name: "now", parameters: null, strict: null };
const flat = { type: "function" as const };
const asked = { model: "tiny", seed: 4, top_k: 40 };

const user = (content: unknown): object => ({ role: "user", content });
const text = (type: string, said: string): object => ({ type, text: said });
const called = (id: string, city: string): object => ({
  type: "function_call",
  id: `fc_${id}`,
  call_id: id,
  name: "weather",
  arguments: JSON.stringify({ city }),
  status: "completed",
});
const calls = (...cities: string[]): object[] =>
  cities.map((city, i) => ({
    id: `call_${i}`,
    type: "function",
    function: { name: "weather", arguments: JSON.stringify({ city }) },
  }));
const thought = { type: "reasoning", id: "rs_1", summary: [], content: [text("reasoning_text", "hm")] };
const said = { type: "message", id: "msg_1", role: "assistant", status: "completed" };

/** Input, and the messages that it is. */
const CONVERSATIONS: readonly (readonly [unknown, readonly object[]])[] = [
  ["ka", [user("ka")]],
  ["", [user("")]],
  ["👩‍👩‍👧 ẞ \u0000 日本", [user("👩‍👩‍👧 ẞ \u0000 日本")]],
  ["<|im_end|>", [user("<|im_end|>")]],
  ["ka ".repeat(40), [user("ka ".repeat(40))]],
  [[user("ka")], [user("ka")]],
  [[{ type: "message", ...user("ka") }], [user("ka")]],
  [[user([text("input_text", "ka"), text("input_text", "lo")])], [user("kalo")]],
  [[user([])], [user("")]],
  [
    [{ role: "developer", content: "be" }, { role: "system", content: "so" }, user("ka")],
    [{ role: "developer", content: "be" }, { role: "system", content: "so" }, user("ka")],
  ],
  [
    [
      user("ka"),
      { ...said, content: [{ ...text("output_text", "lo"), annotations: [], logprobs: [] }] },
      user("mi"),
    ],
    [user("ka"), { role: "assistant", content: "lo" }, user("mi")],
  ],
  [
    [user("ka"), { role: "assistant", content: [{ type: "refusal", refusal: "no" }] }, user("mi")],
    [user("ka"), { role: "assistant", content: "no" }, user("mi")],
  ],
  [
    [
      user("ka"),
      called("call_0", "Rome"),
      { type: "function_call_output", call_id: "call_0", output: "rain" },
    ],
    [
      user("ka"),
      { role: "assistant", content: null, tool_calls: calls("Rome") },
      { role: "tool", tool_call_id: "call_0", content: "rain" },
    ],
  ],
  [
    [
      user("ka"),
      thought,
      { ...said, content: [text("output_text", "well")] },
      called("call_0", "Rome"),
      called("call_1", "Oslo"),
      { type: "function_call_output", call_id: "call_0", output: [text("input_text", "rain")] },
      { type: "function_call_output", call_id: "call_1", output: "" },
      { role: "assistant", content: "wet" },
      { role: "assistant", content: "dry" },
    ],
    [
      user("ka"),
      { role: "assistant", reasoning_content: "hm", content: "well", tool_calls: calls("Rome", "Oslo") },
      { role: "tool", tool_call_id: "call_0", content: "rain" },
      { role: "tool", tool_call_id: "call_1", content: "" },
      { role: "assistant", content: "wet" },
      { role: "assistant", content: "dry" },
    ],
  ],
  [
    [user("ka"), thought, called("call_0", "Rome"), { ...thought, content: null, encrypted_content: "x" }],
    [user("ka"), { role: "assistant", reasoning_content: "hm", content: null, tool_calls: calls("Rome") }],
  ],
  [[thought, user("ka")], [user("ka")]],
];

/** Settings, and what they are called in chats. */
const SETTINGS: readonly (readonly [object, object])[] = [
  [{ max_output_tokens: 5 }, { max_tokens: 5 }],
  [
    { max_output_tokens: 110, tools: [{ ...flat, ...weather }], tool_choice: { ...flat, name: "weather" } },
    {
      max_tokens: 110,
      tools: [{ ...flat, function: weather }],
      tool_choice: { ...flat, function: { name: "weather" } },
    },
  ],
  [
    {
      max_output_tokens: 110,
      tools: [weather, now].map((each) => ({ ...flat, ...each })),
      tool_choice: { type: "allowed_tools", mode: "required", tools: [{ ...flat, name: "weather" }] },
      parallel_tool_calls: false,
    },
    {
      max_tokens: 110,
      tools: [weather, now].map((each) => ({ ...flat, function: each })),
      tool_choice: {
        type: "allowed_tools",
        allowed_tools: { mode: "required", tools: [{ ...flat, function: { name: "weather" } }] },
      },
      parallel_tool_calls: false,
    },
  ],
  [
    { max_output_tokens: 60, text: { format: { type: "json_schema", name: "a", schema: parameters } } },
    {
      max_tokens: 60,
      response_format: { type: "json_schema", json_schema: { name: "a", schema: parameters } },
    },
  ],
  [
    { max_output_tokens: 9, stop: "a", min_p: 0.1 },
    { max_tokens: 9, stop: "a", min_p: 0.1 },
  ],
];

interface Seen {
  readonly thoughts: string;
  readonly text: string;
  readonly calls: unknown[];
  readonly isCut: boolean;
  readonly tokens: unknown;
}

async function post(server: TinyServer, path: string, body: object): Promise<unknown> {
  const { status, body: answer } = await server.post(path, body);
  assert.equal(status, 200, JSON.stringify([body, answer]));
  return answer;
}

async function byChat(server: TinyServer, body: object): Promise<Seen> {
  const { choices, usage } = (await post(server, "/v1/chat/completions", body)) as OpenAI.ChatCompletion;
  const { message, finish_reason: reason } = choices[0]!;
  return {
    thoughts: (message as { reasoning_content?: string }).reasoning_content ?? "",
    text: message.content ?? "",
    calls: (message.tool_calls ?? []).map((call) => call.type === "function" && call.function),
    isCut: reason === "length",
    tokens: [usage?.prompt_tokens, usage?.completion_tokens, usage?.total_tokens],
  };
}

async function byResponse(server: TinyServer, body: object): Promise<Seen> {
  const { output, usage, status } = (await post(server, "/v1/responses", body)) as OpenAI.Responses.Response;
  const textsOf = (kind: string): string =>
    output
      .flatMap((item) =>
        item.type === kind && "content" in item ? (item.content as { text: string }[]) : [],
      )
      .map((part) => part.text)
      .join("");
  return {
    thoughts: textsOf("reasoning"),
    text: textsOf("message"),
    calls: output.flatMap((item) =>
      item.type === "function_call" ? [{ name: item.name, arguments: item.arguments }] : [],
    ),
    isCut: status === "incomplete",
    tokens: [usage?.input_tokens, usage?.output_tokens, usage?.total_tokens],
  };
}

test("the same conversation has the same prompt and answer by both", async () => {
  const kinds = new Set<string>();
  for (const [i, [input, messages]] of CONVERSATIONS.entries()) {
    for (const [own, theirs] of [SETTINGS[0]!, SETTINGS[1 + (i % 4)]!]) {
      const chat = await byChat(calling, { ...asked, ...theirs, messages });
      assert.deepEqual(await byResponse(calling, { ...asked, ...own, input }), chat, JSON.stringify(input));
      kinds.add(`${chat.calls.length > 0} ${chat.isCut}`);
    }
    const cut = { ...asked, max_tokens: 6, messages };
    const instructed = { ...asked, max_output_tokens: 6, input, instructions: "so" };
    const chat = await byChat(thinking, {
      ...cut,
      messages: [{ role: "system", content: "so" }, ...messages],
    });
    assert.deepEqual(await byResponse(thinking, instructed), chat);
    assert.notEqual(chat.thoughts, "");
  }
  assert.deepEqual([...kinds].toSorted(), ["false false", "false true", "true false"]);
});

test("many calls in a row are one message, made in no time", () => {
  const startedMs = processorMs();
  const messages = readInput(Array.from({ length: 20_000 }, (_, i) => called(`call_${i}`, "Rome")));
  // Copies of those before it took a minute.
  assert.ok(processorMs() - startedMs < 5000);
  assert.equal(messages.length, 1);
  assert.equal(messages[0]?.tool_calls?.length, 20_000);
});

test("a thought is an item of its own, with its tokens counted, in a stream too", async () => {
  const body = { ...asked, input: "ka", max_output_tokens: 6 };
  const answer = (await post(thinking, "/v1/responses", body)) as OpenAI.Responses.Response;
  assert.deepEqual(
    answer.output.map(({ type, status }: { type: string; status?: unknown }) => [type, status]),
    [["reasoning", "incomplete"]],
  );
  assert.equal(answer.usage?.output_tokens_details.reasoning_tokens, 6);
  const stream = (await clientOf(thinking)).responses.stream(body);
  let thoughts = "";
  for await (const event of stream)
    if (event.type === "response.reasoning_text.delta") thoughts += event.delta;
  const { output } = await stream.finalResponse();
  const [item] = answer.output;
  assert.ok(item?.type === "reasoning" && output[0]?.type === "reasoning");
  assert.equal(thoughts, item.content?.[0]?.text);
  assert.deepEqual(output[0].content, item.content);
});

test("tokens of a thought are counted up to its end, and have no log-probabilities", () => {
  const use = { tools: null, format: null, functions: [], isForced: false, grammar: null, begun: null };
  const answer = new ChatAnswer(use, new ThoughtReader(THINK), String);
  const body = parseValues({ model: "tiny", input: "ka" }, RESPONSE_REQUEST);
  const written = new WrittenResponse(body, answer, headOf(undefined, thinking.state), thinking.state);
  for (const [id, said] of ["<think>", "hm", "</thi", "nk>", "\n\nyes", "."].entries()) {
    const logProbs = { id: 65 + id, logProb: -id, top: [] };
    written.push({ text: said, token: { id: 65 + id, isStop: false, logProbs }, index: 0 });
  }
  const { response } = written.end({ ...NO_END, finishReason: "stop", numNewTokens: 6 });
  const { output, usage } = response as OpenAI.Responses.Response;
  assert.equal(usage?.output_tokens_details.reasoning_tokens, 4);
  const [first, second] = output;
  assert.ok(first?.type === "reasoning" && second?.type === "message");
  assert.equal(first.content?.[0]?.text, "hm");
  const [part] = second.content;
  assert.ok(part?.type === "output_text" && part.text === "yes.");
  assert.deepEqual(
    part.logprobs?.map(({ logprob }) => logprob),
    [-4, -5],
  );
});

test("a call that was made, and what came of it, go back as they are", async () => {
  const request = {
    ...asked,
    input: "ka",
    tools: [{ ...flat, ...weather }],
    tool_choice: "required" as const,
    parallel_tool_calls: false,
  };
  const final = await client.responses.stream(request).finalResponse();
  const [call] = final.output;
  assert.ok(call?.type === "function_call" && call.call_id.startsWith("call_"));
  assert.match((call.parsed_arguments as { city: string }).city, /Rome|Oslo/);
  const history: OpenAI.Responses.ResponseInput = [
    { role: "user", content: "ka" },
    call,
    { type: "function_call_output", call_id: call.call_id, output: "rain" },
  ];
  const next = await client.responses.create({ model: "tiny", input: history, max_output_tokens: 3 });
  assert.equal(next.status, "incomplete");
  const { city } = JSON.parse(call.arguments) as { city: string };
  const shown = `user: ka|assistant: <tool_call>${call.call_id} weather ${city}</tool_call>|tool${call.call_id}: rain|`;
  const ids = calling.state.model.parts.tokenizer.encode(shown, { addSpecialTokens: false });
  assert.equal(next.usage?.input_tokens, ids.length);
});
