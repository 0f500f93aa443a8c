/** @file Texts of files and users as they may stand in a model card: nothing in them is markup, code or another line. */

/** Punctuation with which Markdown, tables of it and HTML begin something. */
const MARKUP = /[\\`*_[\]<>|&~#]/g;

/** Takes out what would begin a line of its own, or be invisible. */
function onOneLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ").trim();
}

/** Writes a text as Markdown that shows just that text. */
export function escapeText(text: string): string {
  return onOneLine(text).replace(MARKUP, "\\$&");
}

/** Reads what `escapeText` wrote. */
export function unescapeText(text: string): string {
  return text.replace(/\\([\\`*_[\]<>|&~#])/g, "$1");
}

/** Writes a text as a YAML scalar, which JSON is. */
export function yamlText(text: string): string {
  return JSON.stringify(onOneLine(text));
}

/** Writes a text as one word of a shell's line, in a code block. */
export function shellWord(text: string): string {
  const line = onOneLine(text);
  return /^[\w./@:=+-]+$/.test(line) ? line : `'${line.replaceAll("'", `'\\''`)}'`;
}
