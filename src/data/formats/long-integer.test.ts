import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { byteTokenizerFiles } from "../../../test/tiny/byte-tokenizer.ts";
import { createChatTemplate } from "../chat/chat-template.ts";
import { LongInteger, parseJson } from "./long-integer.ts";
import { readTargetRow } from "../rows/target-rows.ts";

describe("whole numbers that JavaScript would round", () => {
  test("are kept as they are written, and all others are numbers", () => {
    const text = '{"id":9007199254740993,"list":[-18446744073709551615],"text":"1234567890123456789"}';
    const value = parseJson(text) as { id: unknown; text: unknown };
    assert.deepEqual([value.id, value.text], [new LongInteger("9007199254740993"), "1234567890123456789"]);
    assert.equal(JSON.stringify(value), text);
    const numbers = "[9007199254740991, 1e20, 0.1234567890123456789, 1234567890.1234567]";
    assert.deepEqual(parseJson(numbers), JSON.parse(numbers));
  });

  test("are written by templates: in JSON, by themselves, in quotes, and where their type is asked for", () => {
    const template = createChatTemplate(byteTokenizerFiles(), {
      template:
        "{% for m in messages %}{% for c in m.tool_calls or [] %}{% set id = c.function.arguments.id %}" +
        '{{ c.function.arguments | tojson }} {{ id }} "{{ id }}" {{ id if id is string else id | tojson }}' +
        "{% endfor %}{% endfor %}{{ tools | tojson }}",
    });
    const id = "1234567890123456789";
    for (const given of [`{\\"id\\": ${id}}`, null]) {
      const call = `{"name": "f", "arguments": ${given === null ? `{"id": ${id}}` : `"${given}"`}}`;
      const row = readTargetRow(
        parseJson(
          `{"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "tool_calls": [{"function": ${call}}]}], "tools": [{"maximum": ${id}}]}`,
        ),
      );
      assert.ok(row.kind === "chat");
      const messages = row.messages.map(({ message }) => message);
      const text = template.render(messages, { tools: row.tools });
      assert.equal(text, `{"id": ${id}} ${id} "${id}" ${id}[{"maximum": ${id}}]`);
    }
  });
});
