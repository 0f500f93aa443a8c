/**
 * @file Calls as gpt-oss writes them in OpenAI's harmony: a message to `functions.NAME` in the channel for comments, whose end is that of
 * the answer.
 */
import type { Place } from "../../grammar/rules/automaton.ts";
import { either } from "../../grammar/rules/json-rules.ts";
import { type ToolFormat, addMark, takeObject } from "../tool-format.ts";

const OPEN = "<|channel|>commentary to=functions.";
const MESSAGE = " <|constrain|>json<|message|>";
/** Templates write whom a message is to before its channel, models behind it. */
const TO = String.raw`\s*(?:to=functions\.([\w.-]+))?\s*`;
const HEAD = new RegExp(
  String.raw`^(?:<\|start\|>assistant)?${TO}<\|channel\|>(?:commentary|analysis)${TO}(?:<\|constrain\|>)?(?:json)?<\|message\|>\s*`,
);
const END = /^\s*<\|(?:call|end)\|>/;

export const HARMONY: ToolFormat = {
  name: "harmony",
  isOf: ({ template }) => template.includes("<|channel|>commentary"),
  marks: [
    OPEN,
    "<|channel|>analysis to=functions.",
    "to=functions.",
    "<|start|>assistant<|channel|>commentary to=functions.",
    "<|start|>assistant to=functions.",
  ],
  tokens: ["<|start|>", "<|channel|>", "<|constrain|>", "<|message|>", "<|call|>", "<|end|>"],
  isWhole: false,
  hasEnd: false,
  endsAnswer: true,
  begins: () => [OPEN],
  take(text, isEnd) {
    const [head = "", before, behind] = HEAD.exec(text) ?? [];
    const name = behind ?? before;
    const found = name === undefined ? null : takeObject(text.slice(head.length));
    if (name === undefined || !found || !(isEnd || END.test(found.rest))) return null;
    return { calls: [{ name, arguments: found.json }], rest: found.rest.replace(END, "") };
  },
  addCalls(book, from, choices, rules) {
    const ways = choices.map((choice) => (at: Place) => {
      const head = addMark(book, at, `${OPEN}${choice.name}${MESSAGE}`, rules);
      return book.call(head, choice.addArguments(book));
    });
    return either(book, from, ways);
  },
};
