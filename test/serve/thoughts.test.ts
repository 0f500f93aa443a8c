/** @file Answers of a model that thinks, whose chat template begins a thought: its thoughts are no part of the answer. */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { fingerprintOf } from "../../src/models/base/fingerprint.ts";
import { temporaryFolder } from "../tiny/model.ts";
import { serveTiny } from "./tiny-server.ts";

/** As those of Qwen 3, in short. */
const TEMPLATE =
  "{% for m in messages %}{{ m.role }}: {{ m.content.split('</think>')[-1] }}|{% endfor %}" +
  "{% if enable_thinking is false %}<think>\n\n</think>\n\n{% else %}<think>\n{% endif %}";

/** As that of gpt-oss, in short. */
const HARMONY =
  "{% for m in messages %}<|start|>{{ m.role }}<|message|>{{ m.content }}<|end|>{% endfor %}<|start|>assistant" +
  "{% if false %}<|channel|>analysis<|message|><|channel|>commentary{% endif %}";

const root = temporaryFolder();

async function serveWith(name: string, text: string): Promise<Awaited<ReturnType<typeof serveTiny>>> {
  const chatTemplate = join(root, `${name}.jinja`);
  writeFileSync(chatTemplate, text);
  const own = join(root, name);
  mkdirSync(own);
  const opened = await serveTiny(own, { chatTemplate });
  after(() => opened.close());
  return opened;
}

const server = await serveWith("think", TEMPLATE);
const harmony = await serveWith("harmony", HARMONY);

const asked = { model: "tiny", messages: [{ role: "user", content: "ka" }], max_tokens: 100, seed: 4 };

/** The message to a request, of which so much is written already. */
async function answer(body: object, written: string, on = server): Promise<Record<string, unknown>> {
  const { status, body: given } = await on.post("/v1/requests/import", {
    version: 1,
    base: await fingerprintOf(on.state.model.parts.base),
    adapter: null,
    id: "chatcmpl-1",
    created: 0,
    path: "/v1/chat/completions",
    body: { ...asked, ...body },
    written_ids: on.state.model.parts.tokenizer.encode(written, { addSpecialTokens: false }),
  });
  assert.equal(status, 200, JSON.stringify(given));
  const { choices } = given as { choices: { message: Record<string, unknown> }[] };
  return choices[0]!.message;
}

test("a thought that the prompt begins comes as reasoning_content, and the answer behind it as content", async () => {
  const { reasoning_content: reasoning, content } = await answer({}, "who? \n</think>\n\nyes");
  assert.equal(reasoning, "who?");
  assert.ok(String(content).startsWith("yes"));
});

test("a thought that is cut off leaves an empty answer", async () => {
  const { reasoning_content: reasoning, content } = await answer({}, "who?");
  assert.ok(String(reasoning).startsWith("who?"));
  assert.equal(content, "");
});

test("what a thought says of calls begins none; the answer behind it may", async () => {
  const tools = [{ type: "function", function: { name: "now" } }];
  const asking = { tools, parallel_tool_calls: false, max_tokens: 200 };
  const thinking = await answer(asking, "in <tool_call>");
  assert.ok(!JSON.stringify(thinking).includes("now"), JSON.stringify(thinking));
  const called = await answer(asking, "in <tool_call> marks\n</think>\n\n<tool_call>");
  assert.equal(called["reasoning_content"], "in <tool_call> marks");
  const [call] = called["tool_calls"] as { function: object }[];
  assert.deepEqual(call?.function, { name: "now", arguments: "{}" });
});

test("where the template ends the thought, or a form holds the answer, all of it is content", async () => {
  const off = await answer({ chat_template_kwargs: { enable_thinking: false } }, "who?");
  assert.ok(String(off["content"]).startsWith("who?") && !("reasoning_content" in off));
  const { body } = await server.post("/v1/chat/completions", {
    ...asked,
    response_format: { type: "json_schema", json_schema: { name: "one", schema: { enum: ["no"] } } },
  });
  const { choices } = body as { choices: { message: object }[] };
  assert.deepEqual(choices[0]?.message, { role: "assistant", content: '"no"', refusal: null });
});

test("a stream tells thoughts as deltas of reasoning_content", async () => {
  const { body } = await server.post("/v1/chat/completions", { ...asked, stream: true });
  const whole = await server.post("/v1/chat/completions", asked);
  const { choices } = whole.body as { choices: { message: { reasoning_content: string } }[] };
  const events = String(body)
    .split("\n\n")
    .filter((line) => line.startsWith("data: {"))
    .map((line) => JSON.parse(line.slice(6)) as { choices: { delta: Record<string, string> }[] });
  const all = (key: string): string => events.map((event) => event.choices[0]?.delta[key] ?? "").join("");
  assert.equal(all("reasoning_content"), choices[0]?.message.reasoning_content);
  assert.equal(all("content"), "");
});

test("messages of harmony are thought, answer and calls by their channels", async () => {
  const thought = "<|channel|>analysis<|message|>hm<|end|><|start|>assistant";
  const said = await answer({}, `${thought}<|channel|>final<|message|>yes`, harmony);
  assert.equal(said["reasoning_content"], "hm");
  assert.ok(String(said["content"]).startsWith("yes"));
  const asking = { tools: [{ type: "function", function: { name: "now" } }], max_tokens: 200 };
  const called = await answer(asking, `${thought}<|channel|>commentary to=functions.`, harmony);
  assert.deepEqual([called["reasoning_content"], called["content"]], ["hm", null]);
  const [call] = called["tool_calls"] as { function: object }[];
  assert.deepEqual(call?.function, { name: "now", arguments: "{}" });
});

test("an answer of harmony that is held to a form is in the channel for answers", async () => {
  const schema = { type: "json_schema", json_schema: { name: "one", schema: { enum: ["no"] } } };
  const { body } = await harmony.post("/v1/chat/completions", {
    ...asked,
    max_tokens: 60,
    response_format: schema,
  });
  const { choices, usage } = body as { choices: { message: object }[]; usage: { completion_tokens: number } };
  assert.deepEqual(choices[0]?.message, { role: "assistant", content: '"no"', refusal: null });
  // Each character of its head is a token here.
  assert.ok(
    usage.completion_tokens >= '<|channel|>final<|message|>"no"'.length,
    `${usage.completion_tokens}`,
  );
});
