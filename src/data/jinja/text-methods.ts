/** @file Methods of texts: those of Python's `str`. */
import { type Arguments, calling } from "./arguments.ts";
import { type Callable, Tuple, type JinjaValue, charactersOf, kindOf } from "./values.ts";
import { padded } from "./fitted.ts";
import { writeText } from "./written.ts";

/** White space in Python, which differs from JavaScript's by a few characters. */
const SPACE = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const SPACES = new RegExp(`[${SPACE}]+`, "g");
const [FIRST_SPACES, LAST_SPACES] = [new RegExp(`^[${SPACE}]+`), new RegExp(`[${SPACE}]+$`)];
/** Digits in Python: decimals, and those that are superscript, subscript, circled or followed by punctuation. */
const DIGITS = new RegExp(
  "[\\p{Nd}\\xb2\\xb3\\xb9\\u1369-\\u1371\\u19da\\u2070\\u2074-\\u2079\\u2080-\\u2089\\u2460-\\u2468\\u2474-\\u247c" +
    "\\u2488-\\u2490\\u24ea\\u24f5-\\u24fd\\u24ff\\u2776-\\u277e\\u2780-\\u2788\\u278a-\\u2792\\u{10a40}-\\u{10a43}" +
    "\\u{10e60}-\\u{10e68}\\u{11052}-\\u{1105a}\\u{1f100}-\\u{1f10a}]",
  "u",
);
/** Python's line boundaries. */
const LINE_END = "\\n-\\r\\x1c-\\x1e\\x85\\u2028\\u2029";
const LINE_ENDS = new RegExp(`\\r\\n|[${LINE_END}]`);

/** The ends of a text that are stripped. */
type Ends = "both" | "start" | "end";

/** Removes white space, or characters of a set, from the ends of a text. */
export function strip(text: string, ends: Ends, set: string | null = null): string {
  if (set === null) {
    const rest = ends === "end" ? text : text.replace(FIRST_SPACES, "");
    return ends === "start" ? rest : trimEnd(rest);
  }
  const characters = charactersOf(text);
  let [from, to] = [0, characters.length];
  if (ends !== "end") while (from < to && set.includes(characters[from]!)) from++;
  if (ends !== "start") while (from < to && set.includes(characters[to - 1]!)) to--;
  return characters.slice(from, to).join("");
}

/** Trims the end of a text in linear time, which a pattern alone cannot. */
function trimEnd(text: string): string {
  let end = text.length;
  while (end > 0 && LAST_SPACES.test(text[end - 1]!)) end--;
  return text.slice(0, end);
}

/** Splits a text at white space, or at each `separator`, at most so many times; -1: no limit. */
function split(text: string, separator: string | null, most: number): string[] {
  if (separator === "") throw new Error("empty separator");
  if (separator !== null) {
    const parts = text.split(separator);
    if (most < 0 || parts.length <= most) return parts;
    return [...parts.slice(0, most), parts.slice(most).join(separator)];
  }
  const found: string[] = [];
  let rest = strip(text, "start");
  while (rest !== "" && found.length !== most) {
    const at = rest.search(SPACES);
    found.push(at < 0 ? rest : rest.slice(0, at));
    rest = at < 0 ? "" : strip(rest.slice(at), "start");
  }
  return rest === "" ? found : [...found, rest];
}

function splitFromEnd(text: string, separator: string | null, most: number): string[] {
  const turned = (value: string): string => charactersOf(value).toReversed().join("");
  return split(turned(text), separator === null ? null : turned(separator), most)
    .map(turned)
    .toReversed();
}

function splitLines(text: string, keepsEnds: boolean): string[] {
  const lines: string[] = [];
  let rest = text;
  for (let end = LINE_ENDS.exec(rest); end; end = LINE_ENDS.exec(rest)) {
    const next = end.index + end[0].length;
    lines.push(rest.slice(0, keepsEnds ? next : end.index));
    rest = rest.slice(next);
  }
  return rest === "" ? lines : [...lines, rest];
}

/** Capitalizes each word; words are runs of letters. */
function title(text: string): string {
  return text.replace(/\p{L}+/gu, (word) => capitalize(word));
}

/** Converts the first character to upper case, all others to lower case. */
export function capitalize(text: string): string {
  const first = charactersOf(text)[0] ?? "";
  const [letter = "", ...more] = first.toUpperCase();
  return letter + more.join("").toLowerCase() + text.slice(first.length).toLowerCase();
}

function part(text: string, separator: string, at: number, isFirst: boolean): JinjaValue[] {
  if (at >= 0) return Tuple.from([text.slice(0, at), separator, text.slice(at + separator.length)]);
  return Tuple.from(isFirst ? [text, "", ""] : ["", "", text]);
}

/** The part between the `start` and `end` of a call; null if `start` is after the end, where not even the empty text is found. */
function within(text: string, args: Arguments): { readonly part: string | null; readonly from: number } {
  if ((args.value(1, "start") ?? args.value(2, "end") ?? null) === null) return { part: text, from: 0 };
  const characters = charactersOf(text);
  const [from, to] = args.range(characters.length);
  return { part: from > to ? null : characters.slice(from, to).join(""), from };
}

/** The position of a text in another one, in characters; -1: it is not found. */
function placeOf(text: string, args: Arguments, search: "indexOf" | "lastIndexOf"): bigint {
  const sub = args.text(0, "sub");
  const { part, from } = within(text, args);
  const at = part?.[search](sub) ?? -1;
  return BigInt(at < 0 ? -1 : from + charactersOf(part!.slice(0, at)).length);
}

/** How often a text occurs in another one; the empty text occurs before each character and at the end. */
function count(text: string, args: Arguments): bigint {
  const sub = args.text(0, "sub");
  const { part } = within(text, args);
  if (part === null) return 0n;
  return BigInt(sub === "" ? charactersOf(part).length + 1 : part.split(sub).length - 1);
}

/** Whether a text is not empty and all of its characters match. */
function hasOnly(kind: RegExp): (text: string) => boolean {
  return (text) => text !== "" && charactersOf(text).every((character) => kind.test(character));
}

/** Whether a text has capitals but no small letters. */
export function isUpper(text: string): boolean {
  return text === text.toUpperCase() && text !== text.toLowerCase();
}

/** Whether a text has small letters but no capitals. */
export function isLower(text: string): boolean {
  return text === text.toLowerCase() && text !== text.toUpperCase();
}

/** `check` is called with the length of a result before it is made. */
type Method = (text: string, args: Arguments, check: (length: number) => void) => JinjaValue;

/**
 * Computes `text.format(…)`, with the directives that templates use.
 * @throws Error for directives with more than a position or name
 */
function format(text: string, args: Arguments): string {
  const [places, named] = [args.places(), args.named()];
  let place = 0;
  return text.replace(/\{\{|\}\}|\{([^{}]*)\}|[{}]/g, (directive, name: string | undefined) => {
    if (directive.length === 1) throw new Error(`a format with ${directive} within or alone is unknown`);
    if (name === undefined) return directive[0]!;
    if (!/^\w*$/.test(name)) throw new Error(`format ${directive} is unknown`);
    const isPlace = /^\d*$/.test(name);
    const value = isPlace ? places[Number(name || place++)] : named.get(name);
    if (value === undefined) throw new Error(`no value for ${directive}`);
    return writeText(value, () => {});
  });
}

function beginsOrEnds(text: string, args: Arguments, name: "prefix" | "suffix"): boolean {
  const given = args.value(0, name);
  const { part } = within(text, args);
  const tried = given instanceof Tuple ? given : [given];
  return tried.some((one) => {
    if (typeof one === "string")
      return (name === "prefix" ? part?.startsWith(one) : part?.endsWith(one)) ?? false;
    throw new Error(`expected a text or texts, found ${one === undefined ? "nothing" : kindOf(one)}`);
  });
}

/** Replaces a text in another one, the first `most` times; -1: everywhere. */
export function replace(text: string, args: Arguments, check: (length: number) => void): string {
  const [from, to, most] = [args.text(0, "old"), args.text(1, "new"), args.number(2, "count", -1)];
  const parts = from === "" ? ["", ...charactersOf(text), ""] : text.split(from);
  const numReplaced = most < 0 ? parts.length - 1 : Math.min(most, parts.length - 1);
  check(text.length + numReplaced * to.length);
  const head = parts.slice(0, numReplaced).map((one) => one + to);
  return head.join("") + parts.slice(numReplaced).join(from);
}

/** Makes a method that pads a text to a width. @throws Error for a fill of more than one character */
export function fill(align: "<" | ">" | "^"): Method {
  return (text, args, check) => {
    const width = args.number(0, "width", 80);
    const character = args.textOrNone(1, "fillchar") ?? " ";
    if (charactersOf(character).length !== 1) throw new Error("the fill character is not one character");
    check(Math.max(text.length, width * character.length));
    return padded(text, width, align, character);
  };
}

const METHODS: Readonly<Record<string, Method>> = {
  upper: (text) => text.toUpperCase(),
  lower: (text) => text.toLowerCase(),
  title,
  capitalize,
  strip: (text, args) => strip(text, "both", args.textOrNone(0, "chars")),
  lstrip: (text, args) => strip(text, "start", args.textOrNone(0, "chars")),
  rstrip: (text, args) => strip(text, "end", args.textOrNone(0, "chars")),
  startswith: (text, args) => beginsOrEnds(text, args, "prefix"),
  endswith: (text, args) => beginsOrEnds(text, args, "suffix"),
  removeprefix: (text, args) => {
    const prefix = args.text(0, "prefix");
    return text.startsWith(prefix) ? text.slice(prefix.length) : text;
  },
  removesuffix: (text, args) => {
    const suffix = args.text(0, "suffix");
    return suffix !== "" && text.endsWith(suffix) ? text.slice(0, -suffix.length) : text;
  },
  split: (text, args) => split(text, args.textOrNone(0, "sep"), args.number(1, "maxsplit", -1)),
  rsplit: (text, args) => splitFromEnd(text, args.textOrNone(0, "sep"), args.number(1, "maxsplit", -1)),
  splitlines: (text, args) => splitLines(text, args.value(0, "keepends") === true),
  partition: (text, args) => part(text, args.text(0, "sep"), text.indexOf(args.text(0, "sep")), true),
  rpartition: (text, args) => part(text, args.text(0, "sep"), text.lastIndexOf(args.text(0, "sep")), false),
  replace,
  center: fill("^"),
  ljust: fill("<"),
  rjust: fill(">"),
  zfill: (text, args, check) => {
    const [sign, width] = [/^[-+]/.exec(text)?.[0] ?? "", args.number(0, "width", 0)];
    check(Math.max(text.length, width));
    return sign + padded(text.slice(sign.length), width - sign.length, ">", "0");
  },
  format: (text, args, check) => {
    const written = format(text, args);
    check(written.length);
    return written;
  },
  find: (text, args) => placeOf(text, args, "indexOf"),
  rfind: (text, args) => placeOf(text, args, "lastIndexOf"),
  index: (text, args) => {
    const at = placeOf(text, args, "indexOf");
    if (at < 0) throw new Error("substring not found");
    return at;
  },
  count,
  join: (text, args, check) => {
    const parts = args.value(0, "iterable");
    const texts = typeof parts === "string" ? charactersOf(parts) : parts;
    if (!Array.isArray(texts) || !texts.every((one) => typeof one === "string"))
      throw new Error("join() takes a list of texts");
    check(texts.reduce((sum, one) => sum + one.length + text.length, 0));
    return texts.join(text);
  },
  isdecimal: hasOnly(/\p{Nd}/u),
  isdigit: hasOnly(DIGITS),
  isnumeric: hasOnly(/\p{N}/u),
  isalpha: hasOnly(/\p{L}/u),
  isalnum: hasOnly(/[\p{L}\p{N}]/u),
  isspace: hasOnly(LAST_SPACES),
  isupper: isUpper,
  islower: isLower,
};

/** The method of a text; undefined if there is none of that name. */
export function textMethod(
  text: string,
  name: string,
  check: (length: number) => void,
): Callable | undefined {
  const method = Object.hasOwn(METHODS, name) ? METHODS[name] : undefined;
  return method && calling((args) => method(text, args, check));
}
