import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { byteTokenizerFiles, createByteTokenizer } from "../../../test/tiny/byte-tokenizer.ts";
import { readRealTokenizer } from "../../../test/golden/real-tokenizers.ts";
import { type ChatTemplate, CHATML, createChatTemplate } from "./chat-template.ts";
import { processorMs } from "../../train/power/processor-ms.ts";
import { readExamples } from "../dataset.ts";
import type { Example } from "../examples/example.ts";
import { withKnownRoles } from "./shown-parts.ts";
import { makeTextTools } from "./text-tools.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

const { tokenizer, template } = makeTextTools({ files: readRealTokenizer("qwen2_5"), now: new Date(0) });
const qwen = { tokenizer, template };
const bytes = { tokenizer: createByteTokenizer(), template: createChatTemplate(byteTokenizerFiles()) };

const tools = [{ type: "function", function: { name: "weather", description: "It", parameters: {} } }];
const call = (args: unknown): unknown => ({
  id: "c1",
  type: "function",
  function: { name: "weather", arguments: args },
});
const asked = { role: "user", content: "Rain?" };
const answer = { role: "assistant", content: "Yes." };
const result = { role: "tool", tool_call_id: "c1", content: "wet" };

function read(row: unknown, how: { tokenizer: Tokenizer } & Partial<typeof qwen> = qwen): Example {
  const { examples } = readExamples(JSON.stringify(row), "rows.jsonl", {
    ...qwen,
    ...how,
    maxLength: 4096,
  });
  return examples[0]!;
}

function learned({ ids, weights }: Example, tokenizer: Tokenizer): string {
  return tokenizer.decode(ids.filter((_, i) => weights[i]! > 0));
}

describe("tools in conversations", () => {
  const messages = [
    asked,
    { role: "assistant", content: null, tool_calls: [call({ city: "Bonn" })] },
    result,
    answer,
  ];

  test("are shown by the template, and calls are learned, with arguments as an object or as JSON text", () => {
    const example = read({ messages, tools });
    assert.equal(
      learned(example, qwen.tokenizer),
      '<tool_call>\n{"name": "weather", "arguments": {"city": "Bonn"}}\n</tool_call><|im_end|>Yes.<|im_end|>',
    );
    const text = qwen.tokenizer.decode(example.ids);
    assert.match(text, /# Tools[^]*"name": "weather", "description": "It"[^]*<tool_response>\nwet/);
    const asText = messages.with(1, { ...messages[1]!, tool_calls: [call('{"city": "Bonn"}')] } as never);
    assert.deepEqual(read({ messages: asText, tools }).ids, example.ids);
  });

  test("in OpenAI's older form are the same", () => {
    const older = [
      asked,
      { role: "assistant", content: null, function_call: { name: "weather", arguments: '{"city": "Bonn"}' } },
      { role: "function", name: "weather", content: "wet" },
      answer,
    ];
    const functions = tools.map((tool) => tool.function);
    for (const row of [
      { messages: older, tools },
      { messages: older, functions },
    ])
      assert.deepEqual(read(row).ids, read({ messages, tools }).ids);
    assert.deepEqual(
      read({ messages: [asked, answer], functions: "f" }).ids,
      read({ messages: [asked, answer] }).ids,
    );
  });

  test("are refused, with the row, where the template leaves them out", () => {
    for (const [row, what] of [
      [{ messages }, "the tool calls of message 2"],
      [{ messages: [asked, answer], tools }, "tools"],
    ] as const) {
      assert.throws(() => read(row, bytes), {
        code: "usage/chat-template",
        message: new RegExp(`rows\\.jsonl:1: Cannot show ${what}: the chat template drops them`),
      });
    }
    const deaf =
      "{% for m in messages if m.role != 'tool' %}{{ m.role }}:{{ m.content }}<|im_end|>{% endfor %}";
    const template = createChatTemplate(byteTokenizerFiles(), { template: deaf });
    assert.throws(() => read({ messages: [asked, answer, result, answer] }, { ...bytes, template }), {
      message: /Cannot show the tool result in message 3/,
    });
  });

  test("are found where the template writes earlier turns differently", () => {
    // Thoughts of all but the last turn are left out, as Qwen3 does.
    const source =
      "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}{% if m.role == 'assistant' and loop.last %}{{ '<think></think>' }}{% endif %}" +
      "{{ m.content }}{% for c in m.tool_calls or [] %}{{ '<call>' + c.function.name + '</call>' }}{% endfor %}{{ '<|im_end|>\\n' }}{% endfor %}" +
      "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n<think></think>' }}{% endif %}";
    const template = createChatTemplate(byteTokenizerFiles(), { template: source });
    const example = read({ messages }, { ...bytes, template });
    assert.equal(learned(example, bytes.tokenizer), "<call>weather</call><|im_end|>Yes.<|im_end|>");
  });

  test("are none where the list of them is empty, as other programs write it beside every answer", () => {
    const { ids } = read({ messages: [asked, { ...answer, tool_calls: [] }] });
    assert.deepEqual(ids, read({ messages: [asked, answer] }).ids);
    assert.throws(
      () => read({ messages: [asked, { ...answer, content: "", tool_calls: [] }] }),
      /empty answer/,
    );
  });

  test("are refused where they are no calls", () => {
    for (const calls of ["x", [{}], [{ function: {} }]]) {
      assert.throws(() => read({ messages: [asked, { ...answer, tool_calls: calls }] }), {
        code: "usage/data",
        message: /message 2: tool_calls .*, expected a list of calls/,
      });
    }
  });
});

test("roles that a long template compares are found in linear time", () => {
  const start = processorMs();
  const [message] = withKnownRoles({ source: "role==".repeat(40_000) } as ChatTemplate, [
    { role: "function", content: "wet" },
  ]);
  assert.equal(message!.role, "tool");
  assert.ok(processorMs() - start < 1000);
});

describe("answers", () => {
  test("that are empty are refused, if they are learned", () => {
    for (const content of ["", " \n"]) {
      assert.throws(() => read({ messages: [asked, { role: "assistant", content }] }), {
        code: "usage/data",
        message: /rows\.jsonl:1: Cannot read message 2: an empty answer, expected an answer to train on/,
      });
      assert.throws(() => read({ instruction: "a", output: content }), /an empty answer/);
    }
    const silent = [asked, { role: "assistant", content: "", weight: 0 }, asked, answer];
    assert.equal(learned(read({ messages: silent }), qwen.tokenizer), "Yes.<|im_end|>");
  });

  test("may be thoughts alone, by whichever name data sets have them", () => {
    const source =
      "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + (m.reasoning_content or '') + m.content + '<|im_end|>\\n' }}{% endfor %}" +
      "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
    const template = createChatTemplate(byteTokenizerFiles(), { template: source });
    for (const name of ["reasoning_content", "thinking", "reasoning"]) {
      const messages = [asked, { role: "assistant", content: "", [name]: "Hm." }];
      assert.equal(learned(read({ messages }, { ...bytes, template }), bytes.tokenizer), "Hm.<|im_end|>");
    }
  });

  test("may come first where the template allows it", () => {
    assert.equal(
      learned(read({ messages: [answer, asked, answer] }), qwen.tokenizer),
      "Yes.<|im_end|>Yes.<|im_end|>",
    );
    assert.equal(learned(read({ messages: [answer] }), qwen.tokenizer), "Yes.<|im_end|>");
    const strict = createChatTemplate(byteTokenizerFiles(), {
      template: `{% if messages[0].role == 'assistant' %}{{ raise_exception('user first') }}{% endif %}${CHATML}`,
    });
    assert.throws(() => read({ messages: [answer] }, { ...bytes, template: strict }), {
      code: "usage/chat-template",
      message: /rows\.jsonl:1: .*user first/,
    });
  });
});

describe("developers", () => {
  const messages = [{ role: "developer", content: "Be kind." }, asked, answer];
  test("are systems where the template knows none, and themselves where it does", () => {
    const system = read({ messages: messages.with(0, { role: "system", content: "Be kind." }) });
    assert.deepEqual(read({ messages }).ids, system.ids);
    const template = createChatTemplate(byteTokenizerFiles(), { template: `{# developer #}${CHATML}` });
    const text = bytes.tokenizer.decode(read({ messages }, { ...bytes, template }).ids);
    assert.match(text, /^<\|im_start\|>developer\nBe kind\./);
  });
});
