/**
 * @file Regular expressions as Python reads them, which those of PEFT's files are for, in JavaScript's syntax. Both have the rest in
 * common, or JavaScript has no such thing and says so: possessive repetitions, comments.
 */

/** An escape, a class of characters (in which a bracket that comes first is one of them), or the beginning of what is written otherwise. */
const TOKENS = /\\[^]|\[(?<not>\^?)(?<bracket>\]?)(?<others>(?:\\[^]|[^\\\]])*)\]|\(\?P<|\{,(?=\d*\})/g;

/** What JavaScript writes otherwise: ends of a text, groups with names, repetitions from zero on. */
const OTHERWISE: Readonly<Record<string, string>> = {
  "\\A": "^",
  "\\Z": "$",
  "(?P<": "(?<",
  "{,": "{0,",
};

/** Translates an expression; what JavaScript cannot express stays as it is. */
export function fromPython(pattern: string): string {
  return pattern.replaceAll(TOKENS, (token, not?: string, bracket?: string, others?: string) => {
    if (others === undefined) return OTHERWISE[token] ?? token;
    return `[${not}${bracket === "]" ? "\\]" : ""}${others}]`;
  });
}
