/** @file Data files: JSON lines, JSON, tables and text, of every kind of rows. */
import { createChatTemplate, CHATML } from "../../../src/data/chat/chat-template.ts";
import { type DataKindName, DATA_KINDS } from "../../../src/data/examples/data-kinds.ts";
import { readExamples } from "../../../src/data/dataset.ts";
import { createByteTokenizer } from "../../tiny/byte-tokenizer.ts";
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

/** Texts of the kinds that are no JSON. */
const TEXTS: Readonly<Record<string, string>> = {
  ".csv": 'prompt,completion\n"a ""word"", or two",b\nc,"d\ne"\n',
  ".tsv": "text\tlabel\na b\t1\nc\t0\n",
  ".txt": "a few words\n\nand more",
  ".md": "# a\n\nb",
};
const ENDINGS = [".jsonl", ".jsonl", ".json", ...Object.keys(TEXTS)];
const WORDS = [",", ";", '"', '""', "\r\n", "\t", "text", "prompt", "label", "completion", "\uFEFF"];

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
        const ending = pick(random, ENDINGS);
        const plain = TEXTS[ending];
        if (plain !== undefined)
          return `${pick(random, kinds)} x${ending}\n${mutateText(random, plain, WORDS)}`;
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
