import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { byteTokenizerFiles } from "../../../test/tiny/byte-tokenizer.ts";
import { createChatTemplate } from "../chat/chat-template.ts";
import { parseJsonLines } from "./json-rows.ts";
import { LongInteger, WholeFloat, parseJson, withPlainFloats } from "./long-integer.ts";
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
        "{% for m in messages %}{{ m.content }}{% for c in m.tool_calls or [] %}{% set id = c.function.arguments.id %}" +
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
      assert.equal(text, `?{"id": ${id}} ${id} "${id}" ${id}[{"maximum": ${id}}]`);
    }
  });
});

describe("floats whose value is whole", () => {
  const [call, tool] = ['{"x": 1.0, "e": 1e5, "zero": -0.0, "half": 0.50}', '{"minimum": 0.0, "type": 1}'];
  const row = (args: string): string =>
    `{"messages": [{"role": "user", "content": "1.0"}, {"role": "assistant", "weight": 1.0, "tool_calls": [{"function": {"name": "f", "arguments": ${args}}}]}], "tools": [${tool}]}`;
  const render = (line: string, source: string): string => {
    const read = readTargetRow(
      [...parseJsonLines(line, "a.jsonl")].map((one) => "value" in one && one.value)[0],
    );
    assert.ok(read.kind === "chat" && read.messages[1]!.weight === 1);
    return createChatTemplate(byteTokenizerFiles(), { template: source }).render(
      read.messages.map(({ message }) => message),
      { tools: read.tools },
    );
  };
  const around = (shown: string): string =>
    `{% for m in messages %}{{ m.content }}{% for c in m.tool_calls or [] %}{% set a = c.function.arguments %}${shown}{% endfor %}{% endfor %}`;

  test("are floats in templates, of what lies deeper than a column, and JSON again", () => {
    const line = '{"a":1.0,"b":[2.0,3],"c":[{"d":4.0}],"e":"5.0"}';
    const [one] = [...parseJsonLines(line, "a.jsonl"), ...parseJsonLines(line, "a.jsonl")];
    assert.ok(one && "value" in one);
    assert.deepEqual(one.value, { a: 1, b: [2, 3], c: [{ d: new WholeFloat("4.0") }], e: "5.0" });
    assert.equal(JSON.stringify(parseJson(line)), line);
    assert.deepEqual(withPlainFloats(parseJson(line)), JSON.parse(line));
    assert.equal(
      render(row(call), `${around("{{ a | tojson }} {{ a.x }}")}{{ tools | tojson }}`),
      `1.0{"x": 1.0, "e": 100000.0, "zero": -0.0, "half": 0.5} 1.0[${tool}]`,
    );
  });

  test("stay as they are in arguments that a row has as JSON in a string, where the template prints a string", () => {
    const line = row(JSON.stringify(call));
    assert.equal(render(line, around("{{ a if a is string else a | tojson }}")), `1.0${call}`);
    assert.equal(render(line, around("{{ 'f' + a }}")), `1.0f${call}`);
    const read = '{"x": 1.0, "e": 100000.0, "zero": -0.0, "half": 0.5}';
    assert.equal(render(line, around("{{ a | tojson }}")), `1.0${read}`);
    assert.equal(
      render(line, around("{% for k, v in a.items() %}{{ k }}={{ v }} {% endfor %}")),
      "1.0x=1.0 e=100000.0 zero=-0.0 half=0.5 ",
    );
  });
});
