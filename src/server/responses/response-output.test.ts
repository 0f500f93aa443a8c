/** @file Thoughts, text and calls become items one after another, and the events rebuild them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type ResponseEvent, ResponseOutput } from "./response-output.ts";

interface Item {
  type: string;
  id: string;
  status: string;
  arguments?: string;
  content?: { text: string; logprobs?: object[] }[];
}

/** Items as a client makes them of events, from deltas alone. */
function rebuild(events: readonly ResponseEvent[]): Item[] {
  const items: Item[] = [];
  for (const event of events) {
    const index = event["output_index"] as number;
    if (event.type === "response.output_item.added") {
      assert.equal(index, items.length);
      items.push(structuredClone(event["item"]) as Item);
    }
    const item = items[index]!;
    if ("item_id" in event) assert.equal(event["item_id"], item.id);
    if (event.type === "response.content_part.added")
      item.content?.push(structuredClone(event["part"]) as { text: string });
    if (event.type === "response.function_call_arguments.delta") item.arguments += String(event["delta"]);
    if (event.type.endsWith("text.delta")) item.content![0]!.text += String(event["delta"]);
    if (event.type === "response.output_text.delta")
      item.content![0]!.logprobs!.push(...(event["logprobs"] as object[]));
    if (event.type === "response.output_item.done") {
      assert.equal(item.status, "in_progress");
      item.status = (event["item"] as Item).status;
      assert.deepEqual(item, event["item"]);
    }
  }
  return items;
}

function newOutput(): ResponseOutput {
  let numIds = 0;
  return new ResponseOutput(() => `${numIds++}`);
}

const call = {
  index: 0,
  id: "call_1",
  type: "function",
  function: { name: "go", arguments: '{"a":1}' },
} as const;

test("what comes after a call is an item of its own, in the order in which it was written", () => {
  const output = newOutput();
  const events = [
    ...output.add({ reasoning_content: "who" }, []),
    ...output.add({ reasoning_content: "?", content: "I " }, [{ token: "I" }]),
    ...output.add({ content: "go" }, [{ token: "go" }]),
    ...output.add({ content: ".", tool_calls: [call, { ...call, id: "call_2" }] }, []),
    ...output.add({ content: "done" }, []),
    ...output.end("completed", []),
  ];
  assert.deepEqual(rebuild(events), output.items);
  assert.deepEqual(
    rebuild(events).map((item) => [item.type, item.arguments ?? item.content?.[0]?.text, item.status]),
    [
      ["reasoning", "who?", "completed"],
      ["message", "I go.", "completed"],
      ["function_call", '{"a":1}', "completed"],
      ["function_call", '{"a":1}', "completed"],
      ["message", "done", "completed"],
    ],
  );
  assert.deepEqual(rebuild(events)[1]?.content?.[0]?.logprobs, [{ token: "I" }, { token: "go" }]);
  assert.equal(new Set(rebuild(events).map(({ id }) => id)).size, 5);
});

test("what is cut off says so, and an answer of nothing is an empty text", () => {
  const cut = newOutput();
  const begun = cut.add({ content: "ka" }, []);
  assert.equal((cut.items[0] as Item).status, "incomplete");
  const events = [...begun, ...cut.end("incomplete", [{ token: "" }])];
  const [item] = cut.items as Item[];
  assert.deepEqual([item?.status, item?.content?.[0]?.logprobs], ["incomplete", [{ token: "" }]]);
  assert.equal(events.filter(({ type }) => type === "response.output_item.done").length, 1);
  const empty = newOutput();
  assert.deepEqual(rebuild(empty.end("completed", [])), empty.items);
  assert.equal((empty.items[0] as Item).content?.[0]?.text, "");
});
