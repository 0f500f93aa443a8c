/**
 * @file Regular expressions from files, with searches that end: JavaScript searches if that takes at most quadratic time
 * (`pattern-risk`), otherwise a library with linear search; patterns for which neither works are refused.
 *
 * A search goes from place to place, and reports each to a time budget: quadratic searches of long texts take minutes.
 * JavaScript's search at one place (flag y) in a loop is as fast as its own over the whole text. The library is some thirty times
 * slower and does not support lookahead; patterns of models in use do not need the library.
 */
import { RE2JS } from "re2js";
import { MAX_PATTERN_LENGTH } from "./limits.ts";
import { isSafePattern } from "./pattern-risk.ts";
import type { TimeBudget } from "./time-budget.ts";

/** Where a match begins and ends. */
type Found = readonly [start: number, end: number];
/** Finds the first match in a text from a position on. */
type Search = (from: number) => Found | null;

/** The position after a character, which may be two units long. */
function nextPlace(text: string, at: number): number {
  return at + ((text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1);
}

function searchByJavaScript(sticky: RegExp, text: string, budget: TimeBudget): Search {
  return (from) => {
    const next = sticky.unicode ? nextPlace : (_: string, at: number) => at + 1;
    for (let at = from; at <= text.length; at = next(text, at)) {
      budget.spend(text.length - at);
      sticky.lastIndex = at;
      if (sticky.test(text)) return [at, sticky.lastIndex];
    }
    return null;
  };
}

/** How much slower the library is. */
const LINEAR_FACTOR = 30;

function searchLinearly(pattern: RE2JS, text: string, budget: TimeBudget): Search {
  const matcher = pattern.matcher(text);
  return (from) => {
    budget.spend(LINEAR_FACTOR * (text.length - from));
    return matcher.find(from) ? [matcher.start(), matcher.end()] : null;
  };
}

/**
 * A pattern whose searches end on every text: the part of a global RegExp that `match`, `matchAll`, `split` and `replaceAll` of a
 * text use. Groups are ignored, and replacements are inserted literally.
 */
class SafePattern {
  readonly flags = "gu";
  readonly #open: (text: string) => Search;

  constructor(open: (text: string) => Search) {
    this.#open = open;
  }

  *#find(text: string): Generator<Found> {
    const search = this.#open(text);
    let from = 0;
    while (from <= text.length) {
      const found = search(from);
      if (found === null) return;
      yield found;
      const [start, end] = found;
      from = end > start ? end : nextPlace(text, end);
    }
  }

  test(text: string): boolean {
    return this.#open(text)(0) !== null;
  }

  *[Symbol.matchAll](text: string): Generator<{ readonly 0: string; readonly index: number }> {
    for (const [start, end] of this.#find(text)) yield { 0: text.slice(start, end), index: start };
  }

  [Symbol.match](text: string): string[] | null {
    const matches = Array.from(this.#find(text), ([start, end]) => text.slice(start, end));
    return matches.length === 0 ? null : matches;
  }

  [Symbol.split](text: string): string[] {
    const parts: string[] = [];
    let before = 0;
    for (const [start, end] of this.#find(text)) {
      // An empty match at either end of the text splits nothing off.
      if (end === before || start === text.length) continue;
      parts.push(text.slice(before, start));
      before = end;
    }
    return [...parts, text.slice(before)];
  }

  [Symbol.replace](text: string, content: string): string {
    let [replaced, before] = ["", 0];
    for (const [start, end] of this.#find(text)) {
      replaced += text.slice(before, start) + content;
      before = end;
    }
    return replaced + text.slice(before);
  }
}

/** An expression of JavaScript's; null: it is none, though maybe one of the library's. */
function ofJavaScript(source: string, flags: string): RegExp | null {
  try {
    return new RegExp(source, flags);
  } catch {
    return null;
  }
}

/**
 * Compiles a pattern from a file. `flags`: of JavaScript's expression. `budget`: each searched place is reported to it, so
 * searches must run inside its `use`.
 * @throws Error for an invalid pattern, or one whose search might not end
 */
export function compileSafe(source: string, flags: "" | "u", budget: TimeBudget): SafePattern {
  if (source.length > MAX_PATTERN_LENGTH) {
    throw new Error(`${source.length} characters, expected at most ${MAX_PATTERN_LENGTH}`);
  }
  const sticky = isSafePattern(source) ? ofJavaScript(source, `${flags}y`) : null;
  if (sticky !== null) return new SafePattern((text) => searchByJavaScript(sticky, text, budget));
  try {
    // The library uses names of scripts without "Script=".
    const pattern = RE2JS.compile(RE2JS.translateRegExp(source.replaceAll(/(\\[pP]\{)Script=/g, "$1")));
    return new SafePattern((text) => searchLinearly(pattern, text, budget));
  } catch (cause) {
    // No file may need what the library lacks; tokenizers, for instance, write "$" as lookahead.
    throw new Error("it could search forever, and cannot be made linear (lookahead never can)", {
      cause,
    });
  }
}
