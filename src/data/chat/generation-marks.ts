/** @file `{% generation %}` marks of chat templates, which are not Jinja: they enclose the characters that the assistant writes. */
import { FormatError } from "../../errors.ts";
import { type Template, parseTemplate } from "../jinja/template.ts";

const GENERATION_TAG = /{%(-?)\s*(end)?generation\s*(-?)%}/g;
// Noncharacters of Unicode around a word; no real text contains these.
const MARK_START = "\uFDD0start\uFDD0";
const MARK_END = "\uFDD0end\uFDD0";

/** Characters [start, end) of a text. */
export interface TextSpan {
  readonly start: number;
  readonly end: number;
}

/** Whether a template has marks. */
export function hasMarks(source: string): boolean {
  return source.search(GENERATION_TAG) >= 0;
}

/**
 * Parses a template. Generation marks become expressions in a block with the same white-space control. The Jinja library would
 * remove the marks before it strips white space, and so render a different text than Python does.
 * @throws FormatError "format/file"
 */
export function parseMarked(source: string): (...variables: Parameters<Template>) => MarkedText {
  const marked = source.replace(
    GENERATION_TAG,
    (_, left: string, end: string | undefined, right: string) =>
      `{%${left} if true %}{{ "${end === undefined ? MARK_START : MARK_END}" }}{% endif ${right}%}`,
  );
  try {
    const template = parseTemplate(marked);
    return (...variables) => readMarks(template(...variables));
  } catch (cause) {
    const found = cause instanceof Error ? cause.message : String(cause);
    throw new FormatError("format/file", `Cannot parse chat template: ${found}`, {
      hint: "Fix the template in tokenizer_config.json or chat_template.jinja, or choose another one.",
      cause,
    });
  }
}

/** A rendered text, and the spans that were between marks in it. */
export interface MarkedText {
  readonly text: string;
  readonly spans: TextSpan[];
}

/** Removes the marks from a rendered text. */
function readMarks(marked: string): MarkedText {
  const spans: TextSpan[] = [];
  let text = "";
  let start = 0;
  for (const part of marked.split(/(\uFDD0(?:start|end)\uFDD0)/)) {
    if (part === MARK_START) start = text.length;
    else if (part === MARK_END) spans.push({ start, end: text.length });
    else text += part;
  }
  return { text, spans };
}
