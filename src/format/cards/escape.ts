/** @file Escapes texts of files and users for a model card, so that they cannot add markup, code or lines. */

/** Punctuation that has a meaning in Markdown, its tables or HTML. */
const MARKUP = /[\\`*_[\]<>|&~#]/g;

/** Replaces line breaks and invisible characters by spaces. */
function onOneLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ").trim();
}

/** Writes a text as Markdown that shows just that text. */
export function escapeText(text: string): string {
  return onOneLine(text).replace(MARKUP, "\\$&");
}

/** Reverses `escapeText`. */
export function unescapeText(text: string): string {
  return text.replace(/\\([\\`*_[\]<>|&~#])/g, "$1");
}

/** Writes a text as a YAML scalar, which JSON is. */
export function yamlText(text: string): string {
  return JSON.stringify(onOneLine(text));
}

/** Writes a text as one word of a shell command, in a code block. */
export function shellWord(text: string): string {
  const line = onOneLine(text);
  return /^[\w./@:=+-]+$/.test(line) ? line : `'${line.replaceAll("'", `'\\''`)}'`;
}
