/** @file Chat templates in Jinja. */
import { CHATML, createChatTemplate } from "../../../src/data/chat/chat-template.ts";
import type { FuzzFormat } from "../format.ts";
import { mutateText, pick } from "../mutate.ts";

const CORPUS = [
  CHATML,
  "{%- set ns = namespace(found=false) -%}{%- for m in messages %}{% if m.role == 'user' and not ns.found %}{% set ns.found = true %}{{ m['content'] | trim }}{% elif loop.last %}{% generation %}{{ m.content }}{% endgeneration %}{% endif %}{% endfor %}",
  "{% macro turn(m, x=1) %}{{ bos_token }}[{{ m.role | upper }}] {{ m.content | replace('a', 'b') }}{% endmacro %}{% for m in messages[::-1] %}{{ turn(m) }}{% endfor %}{{ messages | tojson(indent=2) }}",
  "{% if tools %}{{ tools | map(attribute='name') | join(', ') }}{% endif %}{{ strftime_now('%d %b %Y') }}{{ range(3) | list | length }}{{ raise_exception('no') if messages | length > 5 }}",
];
const WORDS = [
  "{% for i in range(100000) %}",
  "{% endfor %}",
  "range(1000000000)",
  "{% set x = x ~ x %}",
  "{{ messages }}",
  "| tojson",
  "| join",
  "| sort",
  "| indent(99999999)",
  "{% generation %}",
  "namespace(",
  "loop.index",
  "messages[0]",
  "constructor",
  "__proto__",
  "{% break %}",
  " ".repeat(3000),
];

export const chatTemplate: FuzzFormat = {
  name: "chat-template",
  numCases: 800,
  prepare: () => ({
    make: (random) => mutateText(random, pick(random, CORPUS), WORDS),
    read(input) {
      const template = createChatTemplate({
        tokenizer: {},
        config: { bos_token: "<s>" },
        chatTemplate: input as string,
      });
      const messages = [
        { role: "user" as const, content: "a b" },
        { role: "assistant" as const, content: "c" },
      ];
      template.render(messages, { addGenerationPrompt: true });
      template.generationSpans(messages);
    },
  }),
};
