/**
 * @file Regular expressions out of files: by JavaScript where that cannot run without end (`pattern-risk`), else by a library
 * whose time is linear in the text, else not at all.
 *
 * The library is some thirty times slower and knows no lookahead; patterns of models in use need it nowhere.
 */
import { RE2JS } from "re2js";
import { MAX_PATTERN_LENGTH } from "./limits.ts";
import { isSafePattern } from "./pattern-risk.ts";

/** What is searched with: as much of a global RegExp as `match`, `matchAll`, `split` and `replaceAll` of a text ask for. */
class LinearPattern {
  readonly flags = "gu";
  readonly #pattern: RE2JS;

  constructor(source: string) {
    // The library has scripts without the word before them.
    this.#pattern = RE2JS.compile(RE2JS.translateRegExp(source.replaceAll(/(\\[pP]\{)Script=/g, "$1")));
  }

  *#find(text: string): Generator<{ readonly 0: string; readonly index: number }> {
    const matcher = this.#pattern.matcher(text);
    while (matcher.find()) yield { 0: matcher.group() ?? "", index: matcher.start() };
  }

  test(text: string): boolean {
    return !this.#find(text).next().done;
  }

  [Symbol.matchAll](text: string): Iterable<{ readonly 0: string; readonly index: number }> {
    return this.#find(text);
  }

  [Symbol.match](text: string): string[] | null {
    const found = [...this.#find(text)].map((match) => match[0]);
    return found.length === 0 ? null : found;
  }

  [Symbol.split](text: string): string[] {
    const parts: string[] = [];
    let start = 0;
    for (const { 0: match, index } of this.#find(text)) {
      if (match === "") continue;
      parts.push(text.slice(start, index));
      start = index + match.length;
    }
    return [...parts, text.slice(start)];
  }

  [Symbol.replace](text: string, content: string): string {
    let [replaced, start] = ["", 0];
    for (const { 0: match, index } of this.#find(text)) {
      replaced += text.slice(start, index) + content;
      start = index + match.length;
    }
    return replaced + text.slice(start);
  }
}

/** A pattern that ends on every text. */
export type SafePattern = RegExp | LinearPattern;

/**
 * Compiles a pattern out of a file. `flags`: of JavaScript's expression.
 * @throws Error when it is none, or none that certainly ends
 */
export function compileSafe(source: string, flags: string): SafePattern {
  if (source.length > MAX_PATTERN_LENGTH) {
    throw new Error(`${source.length} characters, expected at most ${MAX_PATTERN_LENGTH}`);
  }
  if (isSafePattern(source)) return new RegExp(source, flags);
  try {
    return new LinearPattern(source);
  } catch (cause) {
    const found = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`it may search without end, and cannot be rewritten (${found})`, { cause });
  }
}
