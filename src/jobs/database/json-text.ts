/**
 * @file JSON in the form that PostgreSQL accepts. Texts that models write may contain NUL and single surrogates, which JSON
 * allows but PostgreSQL does not. Each is written as the character U+001A and its four digits; so is U+001A itself.
 */

/** Escapes in JSON text; an escaped backslash does not begin one. */
const FOREIGN = /\\\\|\\u(0000|001a|d[89a-f]..)/g;
const WRITTEN = /\\\\|\\u001a(0000|001a|d[89a-f]..)/g;

/** A value as JSON text for a column of type jsonb. */
export function toJsonb(value: unknown): string {
  return replaced(JSON.stringify(value), FOREIGN, "\\u001a");
}

/** Restores the value of such a column. */
export function fromJsonb(content: unknown): unknown {
  const text = JSON.stringify(content);
  return text.includes("\\u001a") ? JSON.parse(replaced(text, WRITTEN, "\\u")) : content;
}

function replaced(text: string, escapes: RegExp, start: string): string {
  return text.replace(escapes, (escape, digits?: string) => (digits === undefined ? escape : start + digits));
}
