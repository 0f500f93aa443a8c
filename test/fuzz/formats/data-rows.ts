/** @file Data files: JSON lines, JSON and text, of every kind of rows. */
import { createChatTemplate, CHATML } from "../../../src/data/chat-template.ts";
import { type DataKindName, DATA_KINDS } from "../../../src/data/data-kinds.ts";
import { DATA_ENDINGS, readExamples } from "../../../src/data/dataset.ts";
import { createByteTokenizer } from "../../byte-tokenizer.ts";
import type { FuzzFormat } from "../format.ts";
import { mutateJson, mutateText, pick } from "../mutate.ts";

const ROWS: readonly unknown[] = [
  { text: "a few words" },
  { prompt: "question", completion: "answer" },
  {
    messages: [
      { role: "user", content: "hi" },
      { role: "assistant", content: [{ type: "text", text: "yes" }] },
    ],
    tools: [],
  },
  { prompt: "p", chosen: "good", rejected: "bad" },
  {
    prompt: [{ role: "user", content: "p" }],
    completion: [{ role: "assistant", content: "c" }],
    label: true,
  },
  { text: "good", label: 1 },
  { instruction: "do", input: "", output: "done" },
  {
    conversations: [
      { from: "human", value: "hi" },
      { from: "gpt", value: "yes" },
    ],
  },
];

export const dataRows: FuzzFormat = {
  name: "data-rows",
  numCases: 900,
  prepare() {
    const tokenizer = createByteTokenizer();
    const template = createChatTemplate({ tokenizer: {}, config: {}, chatTemplate: CHATML });
    const kinds = Object.keys(DATA_KINDS) as DataKindName[];
    return {
      make(random) {
        const rows = Array.from({ length: 1 + random.integer(3) }, () =>
          mutateJson(random, JSON.stringify(pick(random, ROWS))),
        );
        const ending = pick(random, DATA_ENDINGS);
        const text = ending === ".json" ? `[${rows.join(",")}]` : rows.join("\n");
        return `${pick(random, kinds)} x${ending}\n${random.integer(4) === 0 ? mutateText(random, text) : text}`;
      },
      read(input) {
        const [, kind, name, text] = /^(\w+) (\S+)\n([^]*)$/.exec(input as string) as unknown as [
          string,
          DataKindName,
          string,
          string,
        ];
        const classes = { names: ["bad", "good"], readAt: "first" as const };
        return readExamples(text, name, { tokenizer, template, maxLength: 32, kind, classes });
      },
    };
  },
};
