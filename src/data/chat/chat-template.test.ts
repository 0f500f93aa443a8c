import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { FormatError, UsageError } from "../../errors.ts";
import { byteTokenizerFiles } from "../../../test/tiny/byte-tokenizer.ts";
import { OutOfTime, TimeBudget } from "../../untrusted/time-budget.ts";
import { parseTemplate } from "../jinja/template.ts";
import { CHATML, createChatTemplate } from "./chat-template.ts";
import type { Message } from "../rows/messages.ts";
import { strftime } from "./strftime.ts";
import { processorMs } from "../../train/power/processor-ms.ts";

const files = byteTokenizerFiles();
const messages: Message[] = [
  { role: "user", content: "Hi" },
  { role: "assistant", content: "Yes?" },
];
const FIRST = "{{ messages[0].content }}";
const of = (template: string, config: Record<string, unknown> = {}) =>
  createChatTemplate({ ...files, config: { ...config, chat_template: template }, chatTemplate: null });

describe("createChatTemplate()", () => {
  test("renders ChatML with and without a generation prompt", () => {
    const template = createChatTemplate(files);
    const text = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nYes?<|im_end|>\n";
    assert.equal(template.render(messages), text);
    assert.equal(template.render(messages, { addGenerationPrompt: true }), `${text}<|im_start|>assistant\n`);
    assert.equal(template.source, CHATML);
    assert.equal(template.hash, createHash("sha256").update(CHATML).digest("hex"));
  });

  test("gives the template the special tokens, written as strings or objects", () => {
    const template = of("{{ bos_token }}{{ messages[0].content }}{{ eos_token }}", {
      bos_token: "<s>",
      eos_token: { content: "</s>" },
    });
    assert.equal(template.render(messages), "<s>Hi</s>");
  });

  test("tells a template that there are no tools with none, as Python does", () => {
    const template = of(
      `{% if tools is not none %}{{ tools | length }} tools{% else %}none{% endif %} ${FIRST}`,
    );
    assert.equal(template.render(messages), "none Hi");
    assert.equal(template.render(messages, { tools: [{ name: "f" }] }), "1 tools Hi");
  });

  test("takes chat_template.jinja before tokenizer_config.json, and a given template before both", () => {
    const chatTemplate = `file ${FIRST}`;
    assert.equal(createChatTemplate({ ...files, chatTemplate }).render(messages), "file Hi");
    assert.equal(
      createChatTemplate({ ...files, chatTemplate }, { template: `given ${FIRST}` }).render(messages),
      "given Hi",
    );
  });

  test("chooses among named templates by whether there are tools", () => {
    const template = createChatTemplate({
      ...files,
      config: {
        chat_template: [
          { name: "default", template: `plain ${FIRST}` },
          { name: "tool_use", template: `tools ${FIRST}` },
        ],
      },
    });
    assert.equal(template.source, `plain ${FIRST}`);
    assert.equal(template.render(messages), "plain Hi");
    assert.equal(template.render(messages, { tools: [] }), "plain Hi");
    assert.equal(template.render(messages, { tools: [{}] }), "tools Hi");
  });

  test("fails only when messages are rendered if there is no template, and names the remedy", () => {
    const template = createChatTemplate({ ...files, config: {} });
    assert.equal(template.source, null);
    assert.equal(template.hash, null);
    assert.throws(
      () => template.render(messages),
      (error: unknown) =>
        error instanceof UsageError &&
        error.code === "usage/chat-template" &&
        error.message ===
          "Cannot render messages: the model has no chat template, expected one in tokenizer_config.json or chat_template.jinja" &&
        (error.hint?.includes("--chat-template: chatml, plain") ?? false),
    );
  });

  test("passes on what raise_exception says", () => {
    assert.throws(
      () => of("{{ raise_exception('roles must alternate') }}").render(messages),
      (error: unknown) =>
        error instanceof UsageError &&
        error.message ===
          'Cannot render 2 messages (user, assistant): the chat template says "roles must alternate"',
    );
    const many = Array.from({ length: 1000 }, () => messages[0]!);
    assert.throws(() => of("{{ raise_exception('no') }}").render(many), {
      message: /^Cannot render 1000 messages \((?:user, ){8}…\): the chat template says "no"$/,
    });
  });

  test("gives a template that loops over parts parts, and one that takes a text or parts a text", () => {
    const parts = (message: string): string =>
      `{% for part in ${message}.content %}{% if part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}`;
    const each = (shown: string): string =>
      `{% for m in messages %}{{ m.role }}: ${shown}{% if m.content is string %} (text){% endif %};{% endfor %}`;
    assert.equal(of(each(parts("m"))).render(messages), "user: Hi;assistant: Yes?;");
    const either = `{% if m.content is string %}{{ m.content }}{% else %}${parts("m")}{% endif %}`;
    assert.equal(of(each(either)).render(messages), "user: Hi (text);assistant: Yes? (text);");
    const strict = `{% if messages[0].role != 'user' or messages | length > 1 %}{{ raise_exception('no') }}{% endif %}`;
    assert.equal(of(strict + parts("messages[0]")).render(messages.slice(0, 1)), "Hi");
  });

  test("refuses to render by a template that shows a content in no form", () => {
    const template = of("{% for m in messages %}{{ m.role }}: {{ m.text }}\n{% endfor %}");
    assert.throws(() => template.render(messages), {
      code: "usage/chat-template",
      message: /shows none of what they say, neither as a text nor as parts/,
    });
    assert.equal(template.render([{ role: "assistant", content: "" }]), "assistant: \n");
  });

  test("refuses a template that cannot be parsed", () => {
    assert.throws(
      () => of("{% for %}"),
      (error: unknown) =>
        error instanceof FormatError && error.message.startsWith("Cannot parse chat template: "),
    );
  });

  test("takes slices whose ends are left out", () => {
    const [letters, text] = [
      ["a", "b", "c", "d", "e"].map((content) => ({ role: "user" as const, content })),
      "{{ m.content }}",
    ];
    for (const [slice, expected] of Object.entries({
      "1:": "bcde",
      ":2": "ab",
      ":": "abcde",
      "::-1": "edcba",
      "-2:": "de",
    }))
      assert.equal(of(`{% for m in messages[${slice}] %}${text}{% endfor %}`).render(letters), expected);
  });

  test("gives calls their arguments as JSON in a text where a template joins them with others", () => {
    const call = { type: "function", function: { name: "f", arguments: { a: [1, "ä"] } } };
    const calling: Message[] = [{ role: "assistant", content: "", tool_calls: [call] }];
    const joins =
      "{{ messages[0].tool_calls[0].function.name + messages[0].tool_calls[0].function.arguments }}";
    assert.equal(of(joins).render(calling), 'f{"a": [1, "ä"]}');
    assert.throws(() => of(joins.replace("name", "missing")).render(calling), /str|undefined/);
  });

  test("gives templates what was thought under the name that they look for", () => {
    for (const name of ["reasoning_content", "thinking", "reasoning"]) {
      const thought: Message[] = [{ role: "assistant", content: "4", [name]: "2+2" }];
      const template = of(`{{ messages[0].reasoning_content }} {{ messages[0].thinking }} ${FIRST}`);
      assert.equal(template.render(thought), "2+2 2+2 4");
    }
  });

  test("tells strftime_now the given time, that of each text", () => {
    let now = new Date(2026, 6, 4, 15, 5, 9);
    const template = createChatTemplate(
      {
        ...files,
        chatTemplate: `{% if strftime_now is defined %}{{ strftime_now('%d %b %Y') }}{% endif %} ${FIRST}`,
      },
      { now: () => now },
    );
    now = new Date(2026, 6, 5);
    assert.equal(template.render(messages), "05 Jul 2026 Hi");
    now = new Date(2026, 6, 4, 15, 5, 9);
    assert.equal(template.render(messages), "04 Jul 2026 Hi");
    assert.equal(
      strftime(now, "%A %a %B %y-%m %H:%M:%S %I%p %% %q"),
      "Saturday Sat July 26-07 15:05:09 03PM % %q",
    );
  });

  test("writes the time as Python does in the C locale", () => {
    const format =
      "%-d %e %j %F %T %D %R %r|%x %X %c|%C %G %g %V %U %W %u %w|%f %h %P %-m %-I %k %l|%^a %#p %_d%n%t[%z%Z] %E %q";
    assert.equal(
      strftime(new Date(2026, 6, 4, 15, 5, 9, 120), format),
      "4  4 185 2026-07-04 15:05:09 07/04/26 15:05 03:05:09 PM|07/04/26 15:05:09 Sat Jul  4 15:05:09 2026|20 2026 26 27 26 26 6 6|120000 Jul pm 7 3 15  3|SAT pm  4\n\t[] %E %q",
    );
    assert.equal(
      strftime(new Date(2027, 0, 2), format),
      "2  2 002 2027-01-02 00:00:00 01/02/27 00:00 12:00:00 AM|01/02/27 00:00:00 Sat Jan  2 00:00:00 2027|20 2026 26 53 00 00 6 6|000000 Jan am 1 12  0 12|SAT am  2\n\t[] %E %q",
    );
  });

  test("finds the characters between generation marks and renders as if there were none", () => {
    // Expected texts are those of Python's jinja2 with trim_blocks and lstrip_blocks.
    const turns = (open: string, close: string) =>
      `{%- for m in messages %}\n[{{ m.role }}] ${open}\n  {{- m.content }}!\n${close}\n{%- endfor %}`;
    for (const [template, text, spans] of [
      [
        of(turns("{% generation %}", "{% endgeneration %}")),
        "[user] Hi!\n[assistant] Yes?!\n",
        ["Hi!\n", "Yes?!\n"],
      ],
      [
        of(turns("{%- generation -%}", "{%- endgeneration -%}")),
        "[user]Hi![assistant]Yes?!",
        ["Hi!", "Yes?!"],
      ],
    ] as const) {
      assert.equal(template.render(messages), text);
      assert.deepEqual(
        template.generationSpans(messages)?.map(({ start, end }) => text.slice(start, end)),
        spans,
      );
    }
    assert.equal(createChatTemplate(files).generationSpans(messages), null);
  });
});

/** Templates that would run without end or fill the memory, by what is said of them. */
const ENDLESS: Record<string, RegExp> = {
  "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}": /it does not end/,
  "{% set r = range(9999) %}{% for i in r %}{% for j in r %}{% endfor %}{% endfor %}": /it does not end/,
  "{% for i in range(1000000000) %}x{% endfor %}": /a list of 1000000000 items/,
  '{% set ns = namespace(x="a") %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}':
    /a text of/,
  "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}":
    /a list of/,
  "{% set ns = namespace(x=[1]) %}{% for i in range(40) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x|tojson }}":
    /nested values/,
  '{% set ns = namespace(x=[1]) %}{% for i in range(40) %}{% set ns.x = {"a": ns.x, "b": ns.x} %}{% endfor %}{{ ns.x }}':
    /nested values/,
  "{% set l = range(49999) %}{% for i in range(3000) %}{% set y = l|sort %}{% endfor %}": /it does not end/,
  '{% set ns = namespace(x="ab") %}{% for i in range(22) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{% for i in range(4000) %}{% set y = ns.x|upper %}{% endfor %}':
    /it does not end/,
  "{% set l = range(90000) %}{% for i in range(90000) %}{% if 'x' in l %}{% endif %}{% endfor %}":
    /it does not end/,
  "{{ range(90000) | unique | list | length }}": /nested values|does not end/,
  "{{ messages|tojson(indent=400000000) }}": /a text of 400000000 characters/,
  "{% macro f() %}{{ self.f() }}{% endmacro %}{{ f() }}": /./,
};

test("a template whose steps take too long is an error, whatever their number", () => {
  let ms = 0;
  const render = parseTemplate("{% for i in range(9000) %}x{% endfor %}", new TimeBudget(() => (ms += 1000)));
  assert.throws(() => render({ messages: [] }), OutOfTime);
});

test("a template that goes on without end is an error at once, in every row, and an honest one never", () => {
  for (const [source, says] of Object.entries(ENDLESS)) {
    const endless = createChatTemplate({ tokenizer: {}, config: {}, chatTemplate: source });
    for (let row = 0; row < 3; row++) {
      const started = processorMs();
      const render = (): string => endless.render([{ role: "user", content: "x" }]);
      assert.throws(render, { code: "usage/chat-template", message: says });
      assert.ok(processorMs() - started < 5000, `${source} took ${processorMs() - started} ms`);
    }
  }
  const long = Array.from({ length: 5000 }, (_, i) => ({ role: "user" as const, content: `message ${i}` }));
  const plain = createChatTemplate({ tokenizer: {}, config: {}, chatTemplate: CHATML });
  for (let row = 0; row < 20; row++) assert.equal(plain.render(long).split("\n").length, 10_001);
});

test("a template that no parser ends with is an error at once", () => {
  for (const source of [
    `{%${" ".repeat(60_000)}`,
    " ".repeat(2_000_000),
    `{{ ${"(".repeat(50_000)}`,
    `{{ ${"-".repeat(50_000)}1 }}`,
    "{% if true %}".repeat(20_000),
  ]) {
    const started = processorMs();
    assert.throws(() => createChatTemplate({ tokenizer: {}, config: {}, chatTemplate: source }), {
      code: "format/file",
    });
    assert.ok(processorMs() - started < 3000);
  }
});
