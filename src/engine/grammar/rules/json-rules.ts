/**
 * @file JSON as rules: strings, numbers, white space, and any value.
 *
 * White space is limited to what people usually write, since a small model might otherwise repeat it for ever. Numbers are
 * limited to those that JavaScript represents; escapes of single surrogates are excluded, since programs disagree on their
 * length.
 */
import { type Place, type RuleBook, SIGHT, type Way } from "./automaton.ts";
import { type CodeRange, WIDE, addCharacter } from "./characters.ts";

/** Spaces after a line break. */
const MAX_INDENT = 24;
/** Digits before and after the point, and of the exponent. */
export const [MAX_DIGITS, MAX_FRACTION, MAX_EXPONENT] = [15, 15, 2];
/** Characters that need no escape in a string. */
const PLAIN: readonly CodeRange[] = [[0x20, 0x21], [0x23, 0x5b], [0x5d, 0x7f], ...WIDE];
const [ZERO, NINE, QUOTE, BACKSLASH] = [0x30, 0x39, 0x22, 0x5c];

/** How JSON escapes a character in a string; null: it needs no escape. */
export function escapeOf(code: number): string | null {
  const written = JSON.stringify(String.fromCodePoint(code)).slice(1, -1);
  return written.startsWith("\\") ? written : null;
}

/** How often something may be repeated. */
export interface Times {
  readonly least: number;
  /** null: no limit. */
  readonly most: number | null;
}

export const ANY_TIMES: Times = { least: 0, most: null };

/** Adds something, repeated as `times` allows. */
export function repeat(book: RuleBook, from: Place, { least, most }: Times, add: Way): Place {
  let at = from;
  for (let i = 0; i < least; i++) at = add(at);
  if (most === null) {
    const loop = book.place();
    book.skip(at, loop);
    book.skip(add(loop), loop);
    return loop;
  }
  const end = book.place();
  for (let i = least; i < most; i++) {
    book.skip(at, end);
    at = add(at);
  }
  book.skip(at, end);
  return end;
}

/**
 * Like `repeat`, for something that takes at least a byte and is a rule or a byte each time. Places far from both bounds are
 * equal for a token and share one view.
 */
export function count(book: RuleBook, from: Place, times: Times, add: Way): Place {
  const { least, most } = times;
  const places = [from];
  const end = repeat(book, from, times, (at) => {
    const next = add(at);
    places.push(next);
    return next;
  });
  const settle = (first: number, beyond: number): void => {
    for (let i = first + 1; i < beyond; i++) book.likes[places[i]!] = places[first]!;
  };
  settle(1, least - SIGHT);
  if (most !== null) settle(Math.max(least, 1), most - SIGHT);
  return end;
}

/** Adds one of several ways. */
export function either(book: RuleBook, from: Place, ways: readonly Way[]): Place {
  const end = book.place();
  for (const way of ways) {
    const start = book.place();
    book.skip(from, start);
    book.skip(way(start), end);
  }
  return end;
}

export class JsonRules {
  readonly book: RuleBook;

  constructor(book: RuleBook) {
    this.book = book;
  }

  /** Adds white space where lines may break. */
  space(from: Place): Place {
    const { book } = this;
    const rule = book.rule("space", (start) =>
      either(book, start, [
        (at) => at,
        (at) => book.byte(at, 0x20),
        (at) =>
          repeat(book, book.byte(at, 0x0a), { least: 0, most: MAX_INDENT }, (each) => book.byte(each, 0x20)),
      ]),
    );
    return book.call(from, rule);
  }

  character(from: Place): Place {
    const to = this.book.place();
    addCharacter(this.book, from, PLAIN, to);
    this.book.call(from, this.#escape(), to);
    return to;
  }

  #escape(): Place {
    const { book } = this;
    return book.rule("escape", (start) => {
      const [sign, end] = [book.byte(start, BACKSLASH), book.place()];
      for (const one of '"\\/bfnrt') book.byte(sign, one.charCodeAt(0), one.charCodeAt(0), end);
      const hex = (from: Place, to?: Place): Place => {
        const place = book.byte(from, ZERO, NINE, to);
        book.byte(from, 0x41, 0x46, place);
        return book.byte(from, 0x61, 0x66, place);
      };
      const code = book.byte(sign, "u".charCodeAt(0));
      const [second, third] = [book.place(), book.place()];
      // All codes but d800 to dfff.
      for (const pair of ["09", "AC", "EF", "ac", "ef"]) {
        book.byte(code, pair.charCodeAt(0), pair.charCodeAt(1), second);
      }
      for (const d of "dD") book.byte(book.byte(code, d.charCodeAt(0)), ZERO, ZERO + 7, third);
      hex(second, third);
      hex(hex(third), end);
      return end;
    });
  }

  /** A string of at least `least` and at most `most` characters; null: no limit. */
  string(from: Place, least: number, most: number | null): Place {
    const { book } = this;
    const rule = book.rule(`string ${least} ${most}`, (start) => {
      const inside = count(book, book.byte(start, QUOTE), { least, most }, (at) => this.character(at));
      return book.byte(inside, QUOTE);
    });
    return book.call(from, rule);
  }

  digits(from: Place, least: number, most: number): Place {
    return repeat(this.book, from, { least, most }, (at) => this.book.byte(at, ZERO, NINE));
  }

  /** An integer, with or without minus. */
  integer(from: Place): Place {
    const { book } = this;
    const rule = book.rule("integer", (start) => {
      const end = book.place();
      const minus = book.byte(start, 0x2d);
      // Minus zero is excluded: JavaScript writes it as 0.
      book.byte(start, ZERO, ZERO, end);
      for (const at of [start, minus]) {
        book.skip(this.digits(book.byte(at, ZERO + 1, NINE), 0, MAX_DIGITS - 1), end);
      }
      return end;
    });
    return book.call(from, rule);
  }

  number(from: Place): Place {
    const { book } = this;
    const rule = book.rule("number", (start) => {
      const whole = either(book, start, [
        (at) => this.integer(at),
        (at) => book.byte(book.byte(at, 0x2d), ZERO),
      ]);
      const fraction = either(book, whole, [
        (at) => at,
        (at) => this.digits(book.byte(at, 0x2e), 1, MAX_FRACTION),
      ]);
      return either(book, fraction, [(at) => at, (at) => this.#exponent(at)]);
    });
    return book.call(from, rule);
  }

  #exponent(from: Place): Place {
    const { book } = this;
    const sign = book.place();
    for (const e of "eE") book.byte(from, e.charCodeAt(0), e.charCodeAt(0), sign);
    const digits = book.place();
    book.skip(sign, digits);
    for (const each of "+-") book.byte(sign, each.charCodeAt(0), each.charCodeAt(0), digits);
    return this.digits(digits, 1, MAX_EXPONENT);
  }

  /** Adds something between brackets. */
  inside(from: Place, brackets: string, content: Way): Place {
    const inner = this.space(this.book.text(from, brackets.charAt(0)));
    return this.book.text(this.space(content(inner)), brackets.charAt(1));
  }

  /** Adds what stands between two items. */
  comma(from: Place): Place {
    return this.space(this.book.text(from, ","));
  }

  /** Adds what stands between a key and its value. */
  colon(from: Place): Place {
    const end = this.book.place();
    const colon = this.book.text(from, ":");
    this.book.skip(colon, end);
    this.book.byte(colon, 0x20, 0x20, end);
    return end;
  }
}
