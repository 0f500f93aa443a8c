import assert from "node:assert/strict";
import { test } from "node:test";
import { JsonText } from "../../data/rows/messages.ts";
import { readMessage } from "./chat-messages.ts";

test("calls in OpenAI's older form and refusals are part of what the chat template sees", () => {
  const call = { name: "f", arguments: '{"a":1}' };
  const called = { role: "assistant" as const, content: null };
  const newer = readMessage({ ...called, tool_calls: [{ type: "function", function: call }] }, 0);
  assert.deepEqual(readMessage({ ...called, function_call: call }, 0), newer);
  const given = new JsonText(call.arguments, { a: 1 });
  assert.deepEqual(newer["tool_calls"], [{ type: "function", function: { name: "f", arguments: given } }]);
  assert.deepEqual(readMessage({ ...called, refusal: "no" }, 0), { role: "assistant", content: "no" });
  assert.deepEqual(readMessage({ ...called, content: "ka", refusal: null }, 0), {
    role: "assistant",
    content: "ka",
  });
});
