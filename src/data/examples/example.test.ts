import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { UsageError } from "../../errors.ts";
import { byteTokenizerFiles, createByteTokenizer } from "../../../test/tiny/byte-tokenizer.ts";
import { CHATML, createChatTemplate } from "../chat/chat-template.ts";
import { encodeSegments } from "../tokenizer/encode-segments.ts";
import { countTrained, toExample, type TrainOn } from "./example.ts";
import { readTargetRow } from "../rows/target-rows.ts";
import { describeExample } from "./show.ts";
import { createTokenizer, type Tokenizer } from "../tokenizer/tokenizer.ts";

const files = byteTokenizerFiles();
const bytes = createByteTokenizer();
const source = { file: "x.jsonl", line: 1 };

/** The byte tokenizer with the given merges as further tokens, splitting text nowhere, so that merges cross any cut. */
function mergingTokenizer(
  merges: readonly [string, string][],
  config: Record<string, unknown> = {},
): Tokenizer {
  const model = files.tokenizer["model"] as { vocab: Record<string, number> };
  const added = Object.fromEntries(merges.map((pair, i) => [pair.join(""), 259 + i]));
  return createTokenizer({
    ...files,
    tokenizer: {
      ...files.tokenizer,
      pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, use_regex: false },
      model: { ...model, vocab: { ...model.vocab, ...added }, merges: merges.map((pair) => pair.join(" ")) },
    },
    config: { ...files.config, ...config },
  });
}

/** Pieces of the example that a row gives, trained ones in brackets. */
function show(
  row: unknown,
  template = CHATML,
  options: { tokenizer?: Tokenizer; trainOn?: TrainOn; onUnshown?: () => void } = {},
): string {
  const tokenizer = options.tokenizer ?? bytes;
  const example = toExample(
    readTargetRow(row),
    { template: createChatTemplate(files, { template }), ...options, tokenizer },
    source,
  );
  const { pieces } = describeExample(example, tokenizer);
  return pieces.map(({ text, trained }) => (trained ? `[${text}]` : text)).join("");
}

const conversation = {
  messages: [
    { role: "user", content: "Q1" },
    { role: "assistant", content: "A1" },
    { role: "user", content: "Q2" },
    { role: "assistant", content: "A2" },
  ],
};
const loop = (body: string) => `{% for message in messages %}${body}{% endfor %}`;

describe("toExample() of a conversation", () => {
  test("has loss on what the assistant writes: content and end-of-turn token", () => {
    assert.equal(
      show(conversation),
      "<|im_start|>user\nQ1<|im_end|>\n<|im_start|>assistant\n[A1<|im_end|>]\n" +
        "<|im_start|>user\nQ2<|im_end|>\n<|im_start|>assistant\n[A2<|im_end|>]\n",
    );
  });

  test("has loss on the last turn or on all tokens but the first, as trainOn says", () => {
    assert.equal(
      show(conversation, CHATML, { trainOn: "last-assistant" }),
      "<|im_start|>user\nQ1<|im_end|>\n<|im_start|>assistant\nA1<|im_end|>\n" +
        "<|im_start|>user\nQ2<|im_end|>\n<|im_start|>assistant\n[A2<|im_end|>]\n",
    );
    assert.equal(
      show({ messages: conversation.messages.slice(0, 2) }, CHATML, { trainOn: "all" }),
      "<|im_start|>[user\nQ1<|im_end|>\n<|im_start|>assistant\nA1<|im_end|>\n]",
    );
  });

  test("never has loss on a turn of weight 0", () => {
    const row = {
      messages: conversation.messages.map((message, i) => (i === 1 ? { ...message, weight: 0 } : message)),
    };
    assert.equal(
      show(row),
      "<|im_start|>user\nQ1<|im_end|>\n<|im_start|>assistant\nA1<|im_end|>\n" +
        "<|im_start|>user\nQ2<|im_end|>\n<|im_start|>assistant\n[A2<|im_end|>]\n",
    );
    assert.equal(
      show(row, CHATML, { trainOn: "all" }),
      "<|im_start|>[user\nQ1<|im_end|>\n<|im_start|>assistant\n]A1<|im_end|>[\n" +
        "<|im_start|>user\nQ2<|im_end|>\n<|im_start|>assistant\nA2<|im_end|>\n]",
    );
  });

  test("has loss on questions and system messages by their weights when all are learned", () => {
    const [system, ...others] = [{ role: "system", content: "Be kind" }, ...conversation.messages];
    const row = {
      messages: [{ ...system, weight: 0 }, ...others.map((one, i) => ({ ...one, weight: i % 2 }))],
    };
    assert.equal(
      show(row, CHATML, { trainOn: "all" }),
      "<|im_start|>[system\n]Be kind<|im_end|>[\n<|im_start|>user\n]Q1<|im_end|>[\n<|im_start|>assistant\nA1<|im_end|>\n" +
        "<|im_start|>user\n]Q2<|im_end|>[\n<|im_start|>assistant\nA2<|im_end|>\n]",
    );
    // Where a template marks what assistants write, too.
    const marked = loop(
      "<|im_start|>{{ message.role }}\n{% if message.role == 'assistant' %}{% generation %}{{ message.content }}<|im_end|>{% endgeneration %}{% else %}{{ message.content }}<|im_end|>{% endif %}{{ '\\n' }}",
    );
    assert.equal(show(row, marked, { trainOn: "all" }), show(row, CHATML, { trainOn: "all" }));
    const half = { messages: others.map((one) => (one.role === "user" ? { ...one, weight: 0.5 } : one)) };
    const how = { tokenizer: bytes, template: createChatTemplate(files) };
    const { ids, weights } = toExample(readTargetRow(half), { ...how, trainOn: "all" }, source);
    assert.equal(bytes.decode(ids.filter((_, i) => weights[i] === 0.5)), "Q1<|im_end|>Q2<|im_end|>");
    // They are not learned otherwise.
    assert.equal(show(half), show({ messages: others }));
    const hidden = loop("{% if message.role == 'assistant' %}{{ message.content }}<|im_end|>{% endif %}");
    assert.throws(() => show(half, hidden, { trainOn: "all" }), {
      code: "usage/chat-template",
      message: /^Cannot find message 1 in the rendered conversation/,
    });
  });

  test("keeps a default system prompt that the template puts in", () => {
    const template = `{% if messages[0].role != 'system' %}<|im_start|>system\nBe kind<|im_end|>\n{% endif %}${CHATML}`;
    assert.equal(
      show({ messages: conversation.messages.slice(0, 2) }, template),
      "<|im_start|>system\nBe kind<|im_end|>\n<|im_start|>user\nQ1<|im_end|>\n<|im_start|>assistant\n[A1<|im_end|>]\n",
    );
  });

  test("works with a template that has no header for the assistant and ignores the generation prompt", () => {
    const template = loop(
      "{% if message.role == 'user' %}[INST] {{ message.content }} [/INST]{% else %} {{ message.content }}<|endoftext|>{% endif %}",
    );
    assert.equal(
      show(conversation, template),
      "[INST] Q1 [/INST][ A1<|endoftext|>][INST] Q2 [/INST][ A2<|endoftext|>]",
    );
  });

  test("works with a template without special tokens", () => {
    const template = `${loop("{{ message.role }}: {{ message.content }}\n\n")}{% if add_generation_prompt %}assistant: {% endif %}`;
    assert.equal(
      show(conversation, template),
      "user: Q1\n\nassistant: [A1\n\n]user: Q2\n\nassistant: [A2\n\n]",
    );
  });

  test("finds turns of a template that writes earlier turns differently, or opens <think> in its prompt", () => {
    const rewriting =
      loop(
        "{{ '<|im_start|>' + message.role + '\n' }}{% if message.role == 'assistant' and loop.last %}{{ '<think></think>' }}{% endif %}{{ message.content.split('</think>')[-1] + '<|im_end|>\n' }}",
      ) + "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
    const row = {
      messages: conversation.messages.map((message, i) =>
        i === 1 ? { ...message, content: "<think>hm</think>A1" } : message,
      ),
    };
    assert.equal(
      show(row, rewriting),
      "<|im_start|>user\nQ1<|im_end|>\n<|im_start|>assistant\n[A1<|im_end|>]\n" +
        "<|im_start|>user\nQ2<|im_end|>\n<|im_start|>assistant\n[<think></think>A2<|im_end|>]\n",
    );
    const opening = CHATML.replace("assistant\\n", "assistant\\n<think>\\n");
    assert.equal(
      show({ messages: [conversation.messages[0], { role: "assistant", content: "<b>" }] }, opening),
      "<|im_start|>user\nQ1<|im_end|>\n<|im_start|>assistant\n[<b><|im_end|>]\n",
    );
  });

  test("learns thoughts where the generation prompt closes them, or opens them otherwise than the turn", () => {
    const told = (answer: object, template: string): string =>
      show({ messages: [conversation.messages[0], { role: "assistant", ...answer }] }, template);
    const asked = "<|im_start|>user\nQ1<|im_end|>\n<|im_start|>assistant\n";
    const turn = "{{ '<|im_start|>' + message.role + '\n' }}";
    const end = "{{ message.content + '<|im_end|>\n' }}";
    const thought = `{% if message.role == 'assistant' %}{{ '<think>\n' + (message.reasoning_content or '') + '\n</think>\n\n' }}{% endif %}`;
    const closing = `${loop(turn + thought + end)}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n<think>\n\n</think>\n\n' }}{% endif %}`;
    for (const key of ["reasoning_content", "thinking", "reasoning"]) {
      assert.equal(
        told({ content: "A1", [key]: "hm" }, closing),
        `${asked}<think>\n[hm\n</think>\n\nA1<|im_end|>]\n`,
      );
    }
    assert.equal(told({ content: "A1" }, closing), `${asked}<think>\n\n</think>\n\n[A1<|im_end|>]\n`);
    const empty = `{% if message.role == 'assistant' and '<think>' not in message.content %}{{ '<think></think>' }}{% endif %}`;
    const opening = `${loop(turn + empty + end)}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n<think>\n' }}{% endif %}`;
    assert.equal(
      told({ content: "<think>hm</think>A1" }, opening),
      `${asked}<think>[hm</think>A1<|im_end|>]\n`,
    );
  });

  test("tells of answers of which the template leaves out a part, and of no others", () => {
    const dropping = CHATML.replace("message['content']", "message['content'].split('</think>')[-1].strip()");
    const isTold = (answer: Record<string, unknown>, template: string): boolean => {
      let told = false;
      const messages = [conversation.messages[0], { role: "assistant", ...answer }];
      show({ messages }, template, { onUnshown: () => void (told = true) });
      return told;
    };
    assert.equal(isTold({ content: "<think>hm</think>A" }, dropping), true);
    assert.equal(isTold({ content: "<think>hm</think>A" }, CHATML), false);
    assert.equal(isTold({ content: " A  a\n" }, dropping), false);
    assert.equal(isTold({ content: "A", thinking: "hm" }, CHATML), true);
  });

  test("follows generation marks of the template", () => {
    const template = loop(
      "<{{ message.role }}>{% if message.role == 'assistant' %}{% generation %}{{ message.content }}{% endgeneration %}{% else %}{{ message.content }}{% endif %}<|im_end|>",
    );
    assert.equal(
      show(conversation, template),
      "<user>Q1<|im_end|><assistant>[A1]<|im_end|><user>Q2<|im_end|><assistant>[A2]<|im_end|>",
    );
  });

  test("joins generation marks with nothing between them, as of an answer and its end", () => {
    const template = `${loop("<{{ message.role }}>{% if message.role == 'assistant' %}{% generation %}{{ message.content }}.{% endgeneration %}{% else %}{{ message.content }}{% endif %}")}{% generation %}<|im_end|>{% endgeneration %}`;
    assert.equal(show(conversation, template), "<user>Q1<assistant>[A1.]<user>Q2<assistant>[A2.<|im_end|>]");
  });

  test("says when a turn cannot be found in the rendered text", () => {
    assert.throws(
      () => show(conversation, "{{ messages | length }} {{ messages[0].content }}<|im_end|>"),
      (error: unknown) =>
        error instanceof UsageError &&
        error.code === "usage/chat-template" &&
        error.message.startsWith("Cannot find assistant message 2 in the rendered conversation: "),
    );
  });

  test("keeps the ids of the whole text where no token crosses a border, for any content", () => {
    const tokenizer = mergingTokenizer([
      ["Ċ", "Ċ"],
      ["a", "b"],
      ["ab", "Ċ"],
    ]);
    const template = createChatTemplate(files);
    // Content that does not begin with a line break cannot merge with the header's.
    const content = fc
      .array(fc.constantFrom("a", "b", "\n", "é", "<|im_end|>"), { minLength: 1 })
      .map((parts) => `b${parts.join("")}`);
    fc.assert(
      fc.property(content, content, (question, answer) => {
        const messages = [
          { role: "user" as const, content: question },
          { role: "assistant" as const, content: answer },
        ];
        const example = toExample(readTargetRow({ messages }), { tokenizer, template }, source);
        assert.deepEqual([...example.ids], tokenizer.encode(template.render(messages)));
        const trained = [...example.ids].filter((_, i) => example.weights[i] === 1);
        assert.deepEqual(trained, tokenizer.encode(`${answer}<|im_end|>`));
      }),
    );
  });

  test("gives the tokens of a turn the weight of its message", () => {
    const messages = conversation.messages.map((message, i) =>
      i === 1 ? { ...message, weight: 0.25 } : message,
    );
    const how = { tokenizer: bytes, template: createChatTemplate(files) };
    const row = readTargetRow({ messages });
    const weightsOf = (trainOn: TrainOn): number[] => [
      ...new Set(toExample(row, { ...how, trainOn }, source).weights),
    ];
    const { ids, weights } = toExample(row, how, source);
    assert.equal(bytes.decode(ids.filter((_, i) => weights[i] === 0.25)), "A1<|im_end|>");
    assert.equal(bytes.decode(ids.filter((_, i) => weights[i] === 1)), "A2<|im_end|>");
    assert.deepEqual(weightsOf("last-assistant"), [0, 1]);
    assert.deepEqual(weightsOf("all"), [0, 1, 0.25]);
  });

  test("tokenizes header and answer apart where a token would cross the border", () => {
    const tokenizer = mergingTokenizer([["Ċ", "Ċ"]]);
    const row = { messages: [conversation.messages[0], { role: "assistant", content: "\nA" }] };
    const template = createChatTemplate(files);
    const example = toExample(readTargetRow(row), { tokenizer, template }, source);
    const header = tokenizer.encode("<|im_start|>user\nQ1<|im_end|>\n<|im_start|>assistant\n");
    assert.deepEqual([...example.ids], [...header, 10, 65, 257, 10]);
    assert.deepEqual([...example.weights.subarray(header.length - 1)], [0, 1, 1, 1, 0]);
  });
});

describe("toExample() of other rows", () => {
  test("has loss on a completion and the end of text", () => {
    assert.equal(show({ prompt: "ab", completion: "cd" }), "ab[cd<|im_end|>]");
    assert.equal(show({ prompt: "ab", completion: "cd<|im_end|>" }), "ab[cd<|im_end|>]");
    assert.equal(show({ prompt: "", completion: "cd" }), "c[d<|im_end|>]");
    assert.equal(show({ prompt: "ab", completion: "cd" }, CHATML, { trainOn: "all" }), "a[bcd<|im_end|>]");
  });

  test("has loss on all of a text but its first token", () => {
    assert.equal(show({ text: "abc" }), "a[bc<|im_end|>]");
  });

  test("puts bos first, and eos once, when the tokenizer asks for them", () => {
    const config = { bos_token: "<|endoftext|>", add_bos_token: true, add_eos_token: true };
    const tokenizer = mergingTokenizer([], config);
    assert.equal(show({ text: "abc" }, CHATML, { tokenizer }), "<|endoftext|>[abc<|im_end|>]");
    assert.equal(
      show({ prompt: "ab", completion: "c" }, CHATML, { tokenizer }),
      "<|endoftext|>ab[c<|im_end|>]",
    );
  });

  test("adds no eos when the tokenizer has none", () => {
    const tokenizer = mergingTokenizer([], { eos_token: null });
    assert.equal(show({ prompt: "ab", completion: "c" }, CHATML, { tokenizer }), "ab[c]");
  });

  test("never flags the first token", () => {
    const example = toExample(
      readTargetRow({ text: "abc" }),
      { tokenizer: bytes, template: createChatTemplate(files) },
      source,
    );
    assert.deepEqual([...example.weights], [0, 1, 1, 1]);
    assert.equal(countTrained(example), 3);
  });
});

describe("encodeSegments()", () => {
  const tokenizer = mergingTokenizer([
    ["a", "b"],
    ["Ġ", "ab"],
    ["b", "a"],
  ]);

  test("gives the ids of the whole text and exact cuts where nothing crosses", () => {
    assert.deepEqual(encodeSegments(tokenizer, "ab ab", [2]), { ids: [259, 260], tokenCuts: [1] });
    assert.deepEqual(encodeSegments(bytes, "aéb", [1, 2]), { ids: [97, 0xc3, 0xa9, 98], tokenCuts: [1, 3] });
  });

  test("tokenizes both sides apart where a token crosses a cut", () => {
    assert.deepEqual(encodeSegments(tokenizer, "x ab", [2]), { ids: [120, 32, 259], tokenCuts: [2] });
  });

  test("always gives ids of the same text, and cuts at the same text unless the tokenizer cannot continue one", () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom("a", "b", " ", "é", "<|im_end|>"), { maxLength: 12 }),
        fc.array(fc.nat(12), { maxLength: 4 }),
        (parts, places) => {
          const text = parts.join("");
          const cuts = [...places].sort((a, b) => a - b).map((i) => parts.slice(0, i).join("").length);
          const { ids, tokenCuts } = encodeSegments(tokenizer, text, cuts);
          assert.equal(tokenizer.decode(ids), text);
          for (const [i, cut] of cuts.entries()) {
            assert.equal(tokenizer.decode(ids.slice(0, tokenCuts[i])), text.slice(0, cut));
          }
        },
      ),
      {
        examples: [
          [
            ["a", "a", "é", "b", "a", "b"],
            [4, 5],
          ],
        ],
      },
    );
  });

  test("keeps the whole text's ids with a tokenizer that puts a space before every text", () => {
    const prepending = createTokenizer({
      ...files,
      tokenizer: {
        version: "1.0",
        added_tokens: [],
        normalizer: { type: "Prepend", prepend: "▁" },
        pre_tokenizer: null,
        post_processor: null,
        decoder: { type: "Fuse" },
        model: {
          type: "BPE",
          vocab: { "▁": 0, x: 1, y: 2, xy: 3, "▁x": 4 },
          merges: ["x y", "▁ x"],
          unk_token: null,
        },
      },
      config: {},
    });
    assert.deepEqual(encodeSegments(prepending, "xy", [1]), { ids: [0, 3], tokenCuts: [0] });
  });
});
