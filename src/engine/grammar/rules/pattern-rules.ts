/**
 * @file Regular expressions of JSON schemas, which are JavaScript's with the flag u, as rules of JSON's strings, or of texts as
 * they are. What is not regular in them, what looks ahead or behind, and marks inside of them, is refused.
 */
import { Automaton, type Place, RuleBook, type Way } from "./automaton.ts";
import { utf8 } from "../../../data/tokenizer/token-bytes.ts";
import {
  type CodeRange,
  LAST_CODE,
  addCharacter,
  commonCodes,
  joinRanges,
  otherCodes,
} from "./characters.ts";
import { ANY_TIMES, JsonRules, either, escapeOf, repeat } from "./json-rules.ts";
import { ANY_CODE } from "./raw-text.ts";
import { unicodeClass } from "./unicode-classes.ts";

/** A part of a pattern that is not supported. */
export class PatternFault extends Error {}

const [MAX_LENGTH, MAX_DEPTH, MAX_REPEATS] = [1024, 32, 1000];

const DIGITS: readonly CodeRange[] = [[0x30, 0x39]];
const WORD: readonly CodeRange[] = [...DIGITS, [0x41, 0x5a], [0x5f, 0x5f], [0x61, 0x7a]];
const LINE_ENDS: readonly CodeRange[] = [
  [0x0a, 0x0a],
  [0x0d, 0x0d],
  [0x2028, 0x2029],
];
const SPACES: readonly CodeRange[] = [
  [0x09, 0x0d],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
];
const CLASSES: Readonly<Record<string, readonly CodeRange[]>> = {
  d: DIGITS,
  D: otherCodes(DIGITS),
  w: WORD,
  W: otherCodes(WORD),
  s: SPACES,
  S: otherCodes(SPACES),
};
/** Escapes of a character by its code; a pair of surrogates is one character. */
const CODED: Readonly<Record<string, RegExp>> = {
  x: /^[0-9a-f]{2}/i,
  u: /^(?:d[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}|[0-9a-f]{4}|\{[0-9a-f]{1,6}\})/i,
};
/** What may stand after the opening bracket of a group: nothing, the mark of a group that does not capture, or a name. */
const GROUP_HEAD = /^(?!\?)|^\?(?::|<[^>]*>)/;
/** Most characters of the head of a group, range, code or class. */
const MAX_HEAD = 64;
const CONTROLS: Readonly<Record<string, number>> = { n: 10, r: 13, t: 9, f: 12, v: 11, "0": 0 };
/** Characters that JSON must escape. */
const ESCAPED: readonly CodeRange[] = [
  [0, 0x1f],
  [0x22, 0x22],
  [0x5c, 0x5c],
];

/** Adds a string in which a pattern is found. @throws PatternFault */
export function addPattern(rules: JsonRules, from: Place, source: string): Place {
  const { book } = rules;
  const rule = book.rule(`pattern ${source}`, (start) => {
    const inside = new PatternReader(rules, source).whole()(book.text(start, '"'));
    return book.text(inside, '"');
  });
  return book.call(from, rule);
}

/** The same of a text as it is, without quotation marks and escapes. @throws PatternFault */
export function addRawPattern(book: RuleBook, from: Place, source: string): Place {
  const rule = book.rule(`raw pattern ${source}`, (start) =>
    new PatternReader(new JsonRules(book), source, { isRaw: true }).whole()(start),
  );
  return book.call(from, rule);
}

/** Makes a function that looks for a pattern in texts. @throws PatternFault, UsageError "usage/grammar" for one that is too large */
export function patternMatcher(source: string): (text: string) => boolean {
  const book = new RuleBook();
  const automaton = new Automaton(
    book,
    book.rule("", (start) => addPattern(new JsonRules(book), start, source)),
  );
  return (text) => {
    automaton.beginToken();
    const start = automaton.start;
    return (start && automaton.follow(start, utf8(JSON.stringify(text))))?.isEnd ?? false;
  };
}

class PatternReader {
  readonly #rules: JsonRules;
  readonly #book: RuleBook;
  readonly #signs: readonly string[];
  readonly #isRaw: boolean;
  #at = 0;

  /** `isRaw`: characters are written as they are. */
  constructor(rules: JsonRules, source: string, { isRaw = false } = {}) {
    this.#rules = rules;
    this.#book = rules.book;
    this.#isRaw = isRaw;
    this.#signs = Array.from(source);
    if (source.length > MAX_LENGTH) throw new PatternFault(`more than ${MAX_LENGTH} characters`);
  }

  whole(): Way {
    const ways = [this.#anchored()];
    while (this.#take("|")) ways.push(this.#anchored());
    if (this.#at < this.#signs.length) throw this.#fault();
    return (from) => either(this.#book, from, ways);
  }

  /** One alternative of a whole pattern, which may match anywhere unless anchors tie it to the beginning or the end. */
  #anchored(): Way {
    const isFirst = this.#take("^");
    const body = this.#sequence(0);
    const isLast = this.#take("$");
    const any: Way = (at) => (this.#isRaw ? this.#oneOf(ANY_CODE)(at) : this.#rules.character(at));
    const anything: Way = (from) => repeat(this.#book, from, ANY_TIMES, any);
    return (from) => {
      const end = body(isFirst ? from : anything(from));
      return isLast ? end : anything(end);
    };
  }

  #choice(depth: number): Way {
    if (depth > MAX_DEPTH) throw new PatternFault(`more than ${MAX_DEPTH} nested groups`);
    const ways = [this.#sequence(depth)];
    while (this.#take("|")) ways.push(this.#sequence(depth));
    return (from) => either(this.#book, from, ways);
  }

  #sequence(depth: number): Way {
    const parts: Way[] = [];
    while (this.#at < this.#signs.length && !"|)$^".includes(this.#signs[this.#at]!)) {
      parts.push(this.#repeated(this.#atom(depth)));
    }
    return (from) => parts.reduce((at, part) => part(at), from);
  }

  #repeated(part: Way): Way {
    const [least, most] = this.#range();
    if (least === 1 && most === 1) return part;
    this.#take("?");
    if (Math.max(least, most ?? 0) > MAX_REPEATS)
      throw new PatternFault(`more than ${MAX_REPEATS} repetitions`);
    if (most !== null && most < least) throw new PatternFault("a range that ends before it begins");
    return (from) => repeat(this.#book, from, { least, most }, part);
  }

  /** How often the last atom is repeated. */
  #range(): readonly [number, number | null] {
    if (this.#take("*")) return [0, null];
    if (this.#take("+")) return [1, null];
    if (this.#take("?")) return [0, 1];
    const found = this.#read(/^\{(\d+)(,(\d*))?\}/);
    if (!found) return [1, 1];
    const least = Number(found[1]);
    if (found[2] === undefined) return [least, least];
    return [least, found[3] === "" ? null : Number(found[3])];
  }

  #atom(depth: number): Way {
    if (this.#take("(")) {
      const looks = this.#read(/^\?<?[=!]/);
      if (looks) throw new PatternFault(`"(${looks[0]}", which looks ahead or behind`);
      if (!this.#read(GROUP_HEAD)) throw this.#fault();
      const choice = this.#choice(depth + 1);
      if (this.#at === this.#signs.length) throw new PatternFault("an unclosed group");
      if (!this.#take(")")) throw this.#fault();
      return choice;
    }
    if (this.#take("[")) return this.#oneOf(this.#set());
    if (this.#take(".")) return this.#oneOf(otherCodes(LINE_ENDS));
    if (this.#take("\\")) return this.#oneOf(this.#escape());
    const sign = this.#signs[this.#at]!;
    if ("*+?{}]".includes(sign)) throw this.#fault();
    this.#at++;
    return this.#oneOf(single(sign));
  }

  #set(): readonly CodeRange[] {
    const isOther = this.#take("^");
    const ranges: CodeRange[] = [];
    while (!this.#take("]")) {
      const first = this.#member();
      const isRange = this.#signs[this.#at] === "-" && this.#signs[this.#at + 1] !== "]";
      if (!isRange) {
        ranges.push(...first);
        continue;
      }
      this.#at++;
      const last = this.#member();
      const [low, high] = [codeOf(first), codeOf(last)];
      if (low === null || high === null || high < low)
        throw new PatternFault("an invalid range of characters");
      ranges.push([low, high]);
    }
    return isOther ? otherCodes(ranges) : joinRanges(ranges);
  }

  #member(): readonly CodeRange[] {
    if (this.#take("\\")) return this.#take("b") ? [[8, 8]] : this.#escape();
    const sign = this.#signs[this.#at++];
    if (sign === undefined) throw new PatternFault("an unclosed character class");
    return single(sign);
  }

  #escape(): readonly CodeRange[] {
    const sign = this.#signs[this.#at++] ?? "";
    if (Object.hasOwn(CLASSES, sign)) return CLASSES[sign]!;
    if (Object.hasOwn(CONTROLS, sign)) return [[CONTROLS[sign]!, CONTROLS[sign]!]];
    if (sign === "p" || sign === "P") return this.#class(sign === "P");
    const coded = Object.hasOwn(CODED, sign) ? this.#read(CODED[sign]!) : null;
    if (coded) {
      const units = coded[0].match(/[0-9a-f]+/gi)!.map((digits) => Number.parseInt(digits, 16));
      const code = units.length === 2 ? String.fromCharCode(...units).codePointAt(0)! : units[0]!;
      if (code > LAST_CODE) throw this.#fault();
      return [[code, code]];
    }
    if (sign === "" || /[A-Za-z0-9]/.test(sign)) throw this.#fault();
    return single(sign);
  }

  #class(isOther: boolean): readonly CodeRange[] {
    const name = this.#read(/^\{([^}]*)\}/)?.[1];
    if (name === undefined) throw this.#fault();
    const ranges = unicodeClass(name);
    if (!ranges) throw new PatternFault(`the character class "${name}", which Unicode does not have`);
    return isOther ? otherCodes(ranges) : ranges;
  }

  /** One character of some, as it is written. */
  #oneOf(ranges: readonly CodeRange[]): Way {
    const escaped = this.#isRaw ? [] : ESCAPED;
    const plain = commonCodes(ranges, otherCodes(escaped));
    const escapes = commonCodes(ranges, escaped).flatMap(([low, high]) =>
      Array.from({ length: high - low + 1 }, (_, i) => escapeOf(low + i) ?? ""),
    );
    // Built once for all places where it is repeated.
    const rule = this.#book.rule(`${this.#isRaw ? "raw " : ""}set ${ranges.join()}`, (start) => {
      const end = this.#book.place();
      addCharacter(this.#book, start, plain, end);
      for (const escape of escapes) this.#book.skip(this.#book.text(start, escape), end);
      return end;
    });
    return (from) => this.#book.call(from, rule);
  }

  /** Skips what matches next; null: something else follows. */
  #read(head: RegExp): RegExpExecArray | null {
    const found = head.exec(this.#signs.slice(this.#at, this.#at + MAX_HEAD).join(""));
    this.#at += found ? Array.from(found[0]).length : 0;
    return found;
  }

  #take(sign: string): boolean {
    if (this.#signs[this.#at] !== sign) return false;
    this.#at++;
    return true;
  }

  #fault(): PatternFault {
    const near = this.#signs.slice(Math.max(0, this.#at - 3), this.#at + 3).join("");
    return new PatternFault(`"${near}", which is not supported`);
  }
}

function single(sign: string): readonly CodeRange[] {
  const code = sign.codePointAt(0)!;
  return [[code, code]];
}

function codeOf(ranges: readonly CodeRange[]): number | null {
  const [only] = ranges;
  return ranges.length === 1 && only && only[0] === only[1] ? only[0] : null;
}
