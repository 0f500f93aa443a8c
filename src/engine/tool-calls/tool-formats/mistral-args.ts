/** @file Calls as Mistral's newer models write them: `[TOOL_CALLS]NAME[ARGS]{…}`, one behind the other; some put `[CALL_ID]ID` between. */
import { either } from "../../grammar/rules/json-rules.ts";
import { ARGS, BEHIND_MARK, MARK } from "../mistral-marks.ts";
import { type ToolFormat, addCallsInTurn, addMark, takeObject } from "../tool-format.ts";

const CALL_ID = "[CALL_ID]";
const HEAD = /^\[TOOL_CALLS\]\s*([\w.-]+)(?:\[CALL_ID\]\w*)?\[ARGS\]\s*/;

export const MISTRAL_ARGS: ToolFormat = {
  ...BEHIND_MARK,
  name: "mistral-args",
  isOf: ({ template }) => template.includes(MARK) && template.includes(ARGS),
  tokens: [MARK, ARGS, CALL_ID],
  hasEnd: false,
  take(text) {
    const head = HEAD.exec(text);
    const [whole = "", name = ""] = head ?? [];
    const found = head && takeObject(text.slice(whole.length));
    return found && { calls: [{ name, arguments: found.json }], rest: found.rest };
  },
  addCalls(book, from, choices, rules) {
    const one = book.rule("marked call", (start) => {
      const open = addMark(book, start, MARK, rules);
      return either(
        book,
        open,
        choices.map(({ name, addArguments }) => (at) => {
          const head = addMark(book, book.text(at, name), ARGS, rules);
          return book.call(head, addArguments(book));
        }),
      );
    });
    return addCallsInTurn(book, from, { call: (at) => book.call(at, one), between: "" }, rules);
  },
};
