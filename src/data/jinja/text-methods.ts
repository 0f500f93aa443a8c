/** @file What texts can do: the methods of Python's `str`. */
import { type Callable, Tuple, type JinjaValue, charactersOf, kindOf } from "./values.ts";
import { writeText } from "./written.ts";

/** Characters that Python takes for white space; JavaScript's are a few others. */
const SPACE = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const SPACES = new RegExp(`[${SPACE}]+`, "g");
const [FIRST_SPACES, LAST_SPACES] = [new RegExp(`^[${SPACE}]+`), new RegExp(`[${SPACE}]+$`)];
/** Python's line boundaries. */
const LINE_ENDS = /\r\n|[\n\r\v\f\u0085\u2028\u2029]/;

/** Ends of a text at which characters are taken away. */
type Ends = "both" | "start" | "end";

/** Takes white space, or characters of a set, from the ends of a text. */
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

/** Trims the end of a text in linear time, which a pattern alone does not. */
function trimEnd(text: string): string {
  let end = text.length;
  while (end > 0 && LAST_SPACES.test(text[end - 1]!)) end--;
  return text.slice(0, end);
}

/** Parts a text at white space, or at each `separator`, at most so many times; -1: as often as there are. */
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

/** Each word with a capital: words are runs of letters. */
function title(text: string): string {
  return text.replace(/\p{L}+/gu, (word) => capitalize(word));
}

/** The first character in upper case, all others in lower case. */
export function capitalize(text: string): string {
  const first = charactersOf(text)[0] ?? "";
  const [letter = "", ...more] = first.toUpperCase();
  return letter + more.join("").toLowerCase() + text.slice(first.length).toLowerCase();
}

function part(text: string, separator: string, at: number, isFirst: boolean): JinjaValue[] {
  if (at >= 0) return Tuple.from([text.slice(0, at), separator, text.slice(at + separator.length)]);
  return Tuple.from(isFirst ? [text, "", ""] : ["", "", text]);
}

/** The place of a text in another one, in characters. */
function placeOf(text: string, at: number): bigint {
  return BigInt(at < 0 ? -1 : charactersOf(text.slice(0, at)).length);
}

/** Whether all characters are of a kind, and there are some. */
function hasOnly(kind: RegExp): (text: string) => boolean {
  return (text) => text !== "" && charactersOf(text).every((character) => kind.test(character));
}

/** Whether a text has capitals, and no small letters. */
export function isUpper(text: string): boolean {
  return text === text.toUpperCase() && text !== text.toLowerCase();
}

/** Whether a text has small letters, and no capitals. */
export function isLower(text: string): boolean {
  return text === text.toLowerCase() && text !== text.toUpperCase();
}

/** Arguments of a call by place or name. */
export class Arguments {
  readonly #args: readonly JinjaValue[];
  readonly #named: ReadonlyMap<string, JinjaValue>;

  constructor(args: readonly JinjaValue[], named: ReadonlyMap<string, JinjaValue>) {
    this.#args = args;
    this.#named = named;
  }

  value(place: number, name: string): JinjaValue | undefined {
    return place < this.#args.length ? this.#args[place] : this.#named.get(name);
  }

  /** @throws Error for another kind */
  text(place: number, name: string): string {
    const value = this.value(place, name);
    if (typeof value === "string") return value;
    throw new Error(`${name} is ${value === undefined ? "absent" : kindOf(value)}, expected a text`);
  }

  /** Null: it is not given, or none. @throws Error for another kind */
  textOrNone(place: number, name: string): string | null {
    const value = this.value(place, name);
    return value === undefined || value === null ? null : this.text(place, name);
  }

  /** @throws Error for another kind */
  number(place: number, name: string, otherwise: number): number {
    const value = this.value(place, name) ?? otherwise;
    if (typeof value === "bigint" || typeof value === "number") return Number(value);
    throw new Error(`${name} is ${kindOf(value)}, expected a number`);
  }
}

/** The text, its arguments, and how large what is made may be. */
type Method = (text: string, args: Arguments, check: (length: number) => void) => JinjaValue;

/** `text.format(…)`, as far as templates use it. @throws Error for directives with more than a place or name */
function format(text: string, args: Arguments): string {
  let place = 0;
  return text.replace(/\{\{|\}\}|\{([^{}]*)\}/g, (directive, name: string | undefined) => {
    if (name === undefined) return directive[0]!;
    if (!/^\w*$/.test(name)) throw new Error(`format ${directive} is not known`);
    const isPlace = /^\d*$/.test(name);
    const value = args.value(isPlace ? Number(name || place++) : Infinity, name);
    if (value === undefined) throw new Error(`no value for ${directive}`);
    return writeText(value, () => {});
  });
}

function beginsOrEnds(given: JinjaValue | undefined, test: (one: string) => boolean): boolean {
  const tried = given instanceof Tuple ? given : [given];
  return tried.some((one) => {
    if (typeof one === "string") return test(one);
    throw new Error(`expected a text or texts, found ${one === undefined ? "nothing" : kindOf(one)}`);
  });
}

/** Replaces a text in another one, the first `most` times; -1: always. */
export function replace(text: string, args: Arguments, check: (length: number) => void): string {
  const [from, to, most] = [args.text(0, "old"), args.text(1, "new"), args.number(2, "count", -1)];
  const parts = from === "" ? ["", ...charactersOf(text), ""] : text.split(from);
  const numReplaced = most < 0 ? parts.length - 1 : Math.min(most, parts.length - 1);
  check(text.length + numReplaced * to.length);
  const head = parts.slice(0, numReplaced).map((one) => one + to);
  return head.join("") + parts.slice(numReplaced).join(from);
}

const METHODS: Readonly<Record<string, Method>> = {
  upper: (text) => text.toUpperCase(),
  lower: (text) => text.toLowerCase(),
  title,
  capitalize,
  strip: (text, args) => strip(text, "both", args.textOrNone(0, "chars")),
  lstrip: (text, args) => strip(text, "start", args.textOrNone(0, "chars")),
  rstrip: (text, args) => strip(text, "end", args.textOrNone(0, "chars")),
  startswith: (text, args) => beginsOrEnds(args.value(0, "prefix"), (one) => text.startsWith(one)),
  endswith: (text, args) => beginsOrEnds(args.value(0, "suffix"), (one) => text.endsWith(one)),
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
  format: (text, args, check) => {
    const written = format(text, args);
    check(written.length);
    return written;
  },
  find: (text, args) => placeOf(text, text.indexOf(args.text(0, "sub"))),
  rfind: (text, args) => placeOf(text, text.lastIndexOf(args.text(0, "sub"))),
  index: (text, args) => {
    const at = text.indexOf(args.text(0, "sub"));
    if (at < 0) throw new Error("substring not found");
    return placeOf(text, at);
  },
  count: (text, args) => BigInt(text.split(args.text(0, "sub")).length - 1),
  join: (text, args, check) => {
    const parts = args.value(0, "iterable");
    const texts = typeof parts === "string" ? charactersOf(parts) : parts;
    if (!Array.isArray(texts) || !texts.every((one) => typeof one === "string"))
      throw new Error("join() takes a list of texts");
    check(texts.reduce((sum, one) => sum + one.length + text.length, 0));
    return texts.join(text);
  },
  isdigit: hasOnly(/\p{Nd}/u),
  isnumeric: hasOnly(/\p{N}/u),
  isalpha: hasOnly(/\p{L}/u),
  isalnum: hasOnly(/[\p{L}\p{N}]/u),
  isspace: hasOnly(LAST_SPACES),
  isupper: isUpper,
  islower: isLower,
};

/** A method of a text; undefined: there is none of that name. */
export function textMethod(
  text: string,
  name: string,
  check: (length: number) => void,
): Callable | undefined {
  const method = Object.hasOwn(METHODS, name) ? METHODS[name] : undefined;
  return method && ((args, named) => method(text, new Arguments(args, named), check));
}
