/**
 * @file JSON as PostgreSQL takes it: it has no NUL and no halves of pairs, which JSON has, and with it texts that models write. Each is
 * written as the sign U+001A with its four digits, and so is that sign.
 */

/** Escapes in JSON text; a backslash that is escaped begins none. */
const FOREIGN = /\\\\|\\u(0000|001a|d[89a-f]..)/g;
const WRITTEN = /\\\\|\\u001a(0000|001a|d[89a-f]..)/g;

/** A value as JSON text for a column of type jsonb. */
export function toJsonb(value: unknown): string {
  return replaced(JSON.stringify(value), FOREIGN, "\\u001a");
}

/** The value of such a column, as it was. */
export function fromJsonb(content: unknown): unknown {
  const text = JSON.stringify(content);
  return text.includes("\\u001a") ? JSON.parse(replaced(text, WRITTEN, "\\u")) : content;
}

function replaced(text: string, escapes: RegExp, start: string): string {
  return text.replace(escapes, (escape, digits?: string) => (digits === undefined ? escape : start + digits));
}
