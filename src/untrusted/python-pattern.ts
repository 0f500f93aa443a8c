/**
 * @file Translates regular expressions of Python, as files of PEFT and settings of quantization have them, into JavaScript's syntax.
 * What JavaScript has no equal for, such as possessive repetitions and comments, is left, and refused when it is compiled.
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
