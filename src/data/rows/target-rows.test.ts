import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { UsageError } from "../../errors.ts";
import { JsonText } from "./messages.ts";
import { readTargetRow } from "./target-rows.ts";

const user = { role: "user", content: "Hi" };
const assistant = { role: "assistant", content: "Yes?" };
const chatOf = (row: unknown) => {
  const read = readTargetRow(row);
  assert.equal(read.kind, "chat");
  return read;
};
const turnsOf = (row: unknown) =>
  chatOf(row).messages.map(({ message, weight }) => [message.role, message.content, weight]);

describe("readTargetRow()", () => {
  test("reads messages, with weights and other columns", () => {
    const row = { id: 7, messages: [user, { ...assistant, weight: 0 }, user, { ...assistant, weight: 1 }] };
    assert.deepEqual(turnsOf(row), [
      ["user", "Hi", 1],
      ["assistant", "Yes?", 0],
      ["user", "Hi", 1],
      ["assistant", "Yes?", 1],
    ]);
    assert.equal(chatOf(row).messages[1]?.message["weight"], undefined);
    const [table] = chatOf({ messages: [user, { ...assistant, weight: null }] }).messages.slice(1);
    assert.equal(table?.weight, 1, "a key without a value, as tables have it");
    assert.equal(chatOf(row).tools, null);
  });

  test("reads tools and tool calls, whose arguments are read where they are JSON", () => {
    const tools = [{ type: "function", function: { name: "f" } }];
    const call = { id: "1", type: "function", function: { name: "f", arguments: '{"x": 1}' } };
    const row = chatOf({
      tools,
      messages: [
        user,
        { role: "assistant", content: null, tool_calls: [call] },
        { role: "tool", tool_call_id: "1", content: "2" },
        assistant,
      ],
    });
    assert.deepEqual(row.tools, tools);
    assert.deepEqual(row.messages[1]?.message, {
      role: "assistant",
      content: "",
      tool_calls: [{ ...call, function: { name: "f", arguments: new JsonText('{"x": 1}', { x: 1 }) } }],
    });
    assert.equal(row.messages[2]?.message["tool_call_id"], "1");
    assert.deepEqual(chatOf({ tools: JSON.stringify(tools), messages: [user, assistant] }).tools, tools);
  });

  test("passes over columns without a value, as tables of several forms have them", () => {
    const row = { messages: null, conversations: null, prompt: null, completion: null, instruction: null };
    assert.deepEqual(readTargetRow({ ...row, text: "a" }), { kind: "text", text: "a" });
    assert.deepEqual(turnsOf({ ...row, text: null, conversations: [user, assistant] })[1], [
      "assistant",
      "Yes?",
      1,
    ]);
    assert.throws(() => readTargetRow({ ...row, prompt: "a" }), {
      message: /"messages": null, expected a list/,
    });
  });

  test("joins text parts of content", () => {
    const parts = [
      { type: "text", text: "a" },
      { type: "text", text: "b" },
    ];
    assert.deepEqual(turnsOf({ messages: [{ role: "user", content: parts }, assistant] })[0], [
      "user",
      "ab",
      1,
    ]);
  });

  test("reads ShareGPT conversations", () => {
    const row = {
      system: "S",
      conversations: [
        { from: "human", value: "a" },
        { from: "gpt", value: "b" },
      ],
    };
    assert.deepEqual(turnsOf(row), [
      ["system", "S", 1],
      ["user", "a", 1],
      ["assistant", "b", 1],
    ]);
  });

  test("reads calls of functions as LLaMA-Factory writes them in ShareGPT conversations", () => {
    const weather = { name: "weather", description: "Tells it", parameters: { type: "object" } };
    const call = { name: "weather", arguments: { city: "Rome" } };
    const called = (value: unknown, tools: unknown): unknown =>
      readTargetRow({
        conversations: [
          { from: "human", value: "a" },
          { from: "function_call", value },
          { from: "observation", value: "warm" },
          { from: "gpt", value: "b" },
        ],
        tools,
      });
    const said = (...calls: unknown[]): unknown => ({
      kind: "chat",
      messages: [
        { message: { role: "user", content: "a" }, weight: 1 },
        {
          message: {
            role: "assistant",
            content: "",
            tool_calls: calls.map((one) => ({ type: "function", function: one })),
          },
          weight: 1,
        },
        { message: { role: "tool", content: "warm" }, weight: 1 },
        { message: { role: "assistant", content: "b" }, weight: 1 },
      ],
      tools: [{ type: "function", function: weather }],
    });
    const tools = JSON.stringify([weather]);
    assert.deepEqual(called(JSON.stringify(call), tools), said(call));
    assert.deepEqual(called(JSON.stringify([call, call]), tools), said(call, call));
    assert.deepEqual(called(call, [{ type: "function", function: weather }]), said(call));
    const text = JSON.stringify(call.arguments);
    assert.deepEqual(
      called(JSON.stringify({ ...call, arguments: text }), [weather]),
      said({ ...call, arguments: new JsonText(text, call.arguments) }),
    );
    for (const value of ["weather(Rome)", '{"city": "Rome"}', "[]", null]) {
      assert.throws(() => called(value, tools), {
        code: "usage/data",
        message: /Cannot read message 2: function_call .*, expected a call as JSON, .*name.*arguments/,
        hint: /remove the row/,
      });
    }
  });

  test("reads Alpaca rows with input, system and history", () => {
    assert.deepEqual(turnsOf({ instruction: "a", input: "", output: "b" }), [
      ["user", "a", 1],
      ["assistant", "b", 1],
    ]);
    assert.deepEqual(
      turnsOf({ instruction: "a", input: "x", output: "b", system: "S", history: [["q", "r"]] }).map(
        (t) => t[1],
      ),
      ["S", "q", "r", "a\nx", "b"],
    );
  });

  test("reads prompt and completion as strings, or as messages of which only the completion's are trained", () => {
    assert.deepEqual(readTargetRow({ prompt: "a", completion: "b" }), {
      kind: "completion",
      prompt: "a",
      completion: "b",
    });
    assert.deepEqual(
      turnsOf({ prompt: [user, assistant, user], completion: [assistant] }).map((turn) => turn[2]),
      [0, 0, 0, 1],
    );
  });

  test("reads text", () => {
    assert.deepEqual(readTargetRow({ text: "a", meta: {} }), { kind: "text", text: "a" });
  });

  const forms =
    '{"messages"}, {"conversations"}, {"prompt", "completion"}, {"instruction", "output"} or {"text"}';
  for (const [name, row, message] of [
    [
      "an unknown role",
      { messages: [user, { role: "bot", content: "x" }] },
      'Cannot read message 2: role "bot", expected system, developer, user, assistant, tool or function',
    ],
    [
      "an absent role",
      { messages: [{ content: "x" }] },
      "Cannot read message 1: role is absent, expected system, developer, user, assistant, tool or function",
    ],
    [
      "a ShareGPT name in OpenAI's key",
      { messages: [{ role: "human", content: "x" }] },
      'Cannot read message 1: role "human", expected system, developer, user, assistant, tool or function',
    ],
    [
      "a conversation without an assistant turn",
      { messages: [{ role: "system", content: "S" }, user] },
      "Cannot read conversation: roles system, user, expected an assistant turn",
    ],
    [
      "weight 0 everywhere",
      { messages: [user, { ...assistant, weight: 0 }] },
      "Cannot read conversation: weight 0 on every assistant turn, expected one to train on",
    ],
    [
      "another weight",
      { messages: [user, { ...assistant, weight: -0.5 }] },
      "Cannot read message 2: weight -0.5, expected a number from 0",
    ],
    [
      "a weight that 32-bit floats do not hold",
      { messages: [user, { ...assistant, weight: 1e39 }] },
      "Cannot read message 2: weight 1e+39, expected a number from 0",
    ],
    [
      "a weight without end, as JSON's 1e999 is read",
      { messages: [user, { ...assistant, weight: Infinity }] },
      "Cannot read message 2: weight Infinity, expected a number from 0",
    ],
    ["no messages", { messages: [] }, 'Cannot read "messages": an empty list, expected a list of messages'],
    [
      "content of a wrong kind",
      { messages: [{ role: "user" }] },
      "Cannot read message 1: content is nothing, expected a string",
    ],
    [
      "an image",
      { messages: [{ role: "user", content: [{ type: "image_url" }] }] },
      'Cannot read message 1: content has a part of type "image_url", expected text parts',
    ],
    [
      "mixed prompt and completion",
      { prompt: "a", completion: [assistant] },
      'Cannot read "prompt" and "completion": a string and a list, expected two strings or two lists of messages',
    ],
    [
      "an empty completion",
      { prompt: "a", completion: "" },
      'Cannot read "completion": an empty string, expected text to train on',
    ],
    ["an empty text", { text: "" }, 'Cannot read "text": an empty string, expected text to train on'],
    [
      "tools that are no list",
      { tools: {}, messages: [user, assistant] },
      'Cannot read "tools": an object, expected a list of functions',
    ],
    [
      "an unknown shape",
      { question: "q", answer: "a" },
      `Cannot read row: keys "question", "answer", expected ${forms}`,
    ],
    ["a row that is no object", "x", `Cannot read row: a string, expected an object: ${forms}`],
  ] as const) {
    test(`refuses ${name}`, () => {
      assert.throws(
        () => readTargetRow(row),
        (error: unknown) => {
          assert.ok(error instanceof UsageError);
          assert.equal(error.code, "usage/data");
          assert.equal(error.message, message);
          assert.ok(error.hint);
          return true;
        },
      );
    });
  }

  test("says which role names of people become", () => {
    for (const message of [{ role: "Anna", content: "x" }, { content: "x" }])
      assert.throws(() => readTargetRow({ messages: [message] }), {
        hint: /^Use assistant for what the model should say, and user/,
      });
  });
});
