import assert from "node:assert/strict";
import { test } from "node:test";
import { HERMES } from "../../engine/tool-calls/tool-formats/hermes.ts";
import { THINK } from "../../engine/answers/thought-forms.ts";
import { ThoughtReader } from "../../engine/answers/thought-reader.ts";
import { ChatAnswer } from "./chat-answer.ts";

const now = { name: "now" };
const use = { tools: [], format: HERMES, functions: [now], isForced: false, grammar: null, begun: null };

test("what a model thinks is told under a name of its own, and calls in it are none", () => {
  const call = '<tool_call>{"name": "now", "arguments": {}}</tool_call>';
  const answer = new ChatAnswer(use, new ThoughtReader(THINK), () => "1");
  const deltas = [..."<think>\nmay I ".split(""), call, "?\n</think>\n\nyes ", call].map((piece) =>
    answer.push(piece),
  );
  deltas.push(answer.end());
  const all = (key: "reasoning_content" | "content"): string =>
    deltas.map((delta) => delta?.[key] ?? "").join("");
  assert.equal(all("reasoning_content"), `may I ${call}?`);
  assert.equal(all("content"), "yes");
  const tool_calls = [{ id: "call_1", type: "function", function: { name: "now", arguments: "{}" } }];
  assert.deepEqual(answer.message, {
    role: "assistant",
    reasoning_content: `may I ${call}?`,
    content: "yes",
    refusal: null,
    tool_calls,
  });
  assert.equal(answer.finishReason("stop"), "tool_calls");
});

test("an answer without a thought has no key for one", () => {
  const answer = new ChatAnswer({ ...use, format: null }, new ThoughtReader(THINK), () => "1");
  assert.deepEqual(answer.push("y"), { content: "y" });
  assert.equal(answer.end(), null);
  assert.deepEqual(answer.message, { role: "assistant", content: "y", refusal: null });
});
