/** @file Filters that return texts, from texts or from the text of other values. */
import { type Filter, type FilterCall, listOf, ofText, pathOf, textOf } from "../filter-call.ts";
import { formatText } from "../operators.ts";
import { capitalize, fill, replace, strip } from "../text-methods.ts";
import { isNumber } from "../values.ts";
import { writeJson, writeWithin } from "../written.ts";

const toJson: Filter = (value, call) => {
  const [indent = null, separators = null] = [call.args.value(1, "indent"), call.args.value(2, "separators")];
  const json = writeJson(
    value,
    {
      ensureAscii: call.args.flag(0, "ensure_ascii"),
      indent: indent === null ? null : isNumber(indent) ? spaces(Number(indent), call) : textOf(indent, call),
      separators: Array.isArray(separators)
        ? [textOf(separators[0]!, call), textOf(separators[1]!, call)]
        : [indent === null ? ", " : ",", ": "],
      sortKeys: call.args.flag(3, "sort_keys"),
    },
    call.meter.counter(),
  );
  call.meter.text(json.length);
  return json;
};

function spaces(width: number, { meter }: FilterCall): string {
  meter.text(width);
  return " ".repeat(Math.max(0, width));
}

const indent = ofText((text, args, call) => {
  const width = args.value(0, "width") ?? 4n;
  const padding = typeof width === "string" ? width : spaces(args.number(0, "width", 4), call);
  const [first, blank] = [args.value(1, "first") === true, args.value(2, "blank") === true];
  const lines = text.split("\n");
  call.meter.text(text.length + lines.length * padding.length);
  return lines
    .map((line, i) => ((i === 0 ? first : line !== "" || blank) ? padding + line : line))
    .join("\n");
});

const join: Filter = (value, call) => {
  const path = call.args.value(1, "attribute") ?? null;
  const texts = listOf(value, call).map((one) =>
    textOf(path === null ? one : pathOf(one, path, call.meter), call),
  );
  const between = textOf(call.args.value(0, "d") ?? "", call);
  call.meter.text(texts.reduce((sum, one) => sum + one.length + between.length, 0));
  return texts.join(between);
};

const HTML: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&#34;",
  "'": "&#39;",
};
const escape = ofText((text) => text.replace(/[&<>"']/g, (character) => HTML[character]!));

/** Words of the filter `title`, which may contain apostrophes and underscores. */
const WORDS = /[^-\s({[<]+/g;

export const TEXT_FILTERS: Readonly<Record<string, Filter>> = {
  capitalize: ofText(capitalize),
  center: ofText((text, args, { meter }) => fill("^")(text, args, (length) => meter.text(length))),
  e: escape,
  escape,
  format: ofText((text, args, { meter }) => formatText(text, args.places(), meter)),
  indent,
  join,
  lower: ofText((text) => text.toLowerCase()),
  pprint: (value, { meter }) => writeWithin(value, meter.counter()),
  replace: ofText((text, args, { meter }) => replace(text, args, (length) => meter.text(length))),
  safe: ofText((text) => text),
  string: ofText((text) => text),
  title: ofText((text) => text.replace(WORDS, capitalize)),
  tojson: toJson,
  trim: ofText((text, args) => strip(text, "both", args.textOrNone(0, "chars"))),
  upper: ofText((text) => text.toUpperCase()),
  wordcount: ofText((text) => BigInt(text.match(/[\p{L}\p{N}_]+/gu)?.length ?? 0)),
};
