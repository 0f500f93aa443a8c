/**
 * @file Makes text from files safe for a terminal: characters that would move its cursor, set its title, reverse the writing
 * direction or be invisible are escaped, and overlong text is cut.
 */

/**
 * C0 and C1 controls except tab and line feed, marks of direction, line separators that a terminal does not break at, the byte
 * order mark, invisible tags, and unpaired surrogates.
 */
const UNSAFE =
  // oxlint-disable-next-line no-control-regex
  /[\u0000-\u0008\u000B-\u001F\u007F-\u009F\u061C\u200B\u200E\u200F\u2028-\u202E\u2060-\u206F\uFEFF\u{E0000}-\u{E007F}\p{Cs}]/gu;
/** Colour codes as `picocolors` writes them, which are kept, or an unsafe character. */
const UNSAFE_BUT_COLORS = new RegExp(`\\u001B\\[[0-9;]{1,11}m|${UNSAFE.source}`, "gu");
/** Characters kept from the beginning and the end of a message. */
const [HEAD, TAIL] = [3000, 900];

function escape(sign: string): string {
  return `\\u{${sign.codePointAt(0)!.toString(16)}}`;
}

/** Escapes unsafe characters. */
export function printable(text: string): string {
  return text.replace(UNSAFE, escape);
}

/** As `printable`, for text with colour codes of the program itself, which are kept. */
export function printableInColor(text: string): string {
  return text.replace(UNSAFE_BUT_COLORS, (sign) => (sign.endsWith("m") ? sign : escape(sign)));
}

/** As `printable`, and cut in the middle if it is too long for a message. */
export function readable(text: string): string {
  if (text.length <= HEAD + TAIL) return printable(text);
  const cut = text.length - HEAD - TAIL;
  return printable(`${text.slice(0, HEAD)} … (${cut} characters) … ${text.slice(-TAIL)}`);
}

/** Escapes the same characters in JSON text, without changing the values of its strings. */
export function printableJson(json: string): string {
  return json.replace(UNSAFE, (sign) =>
    Array.from(
      { length: sign.length },
      (_, i) => `\\u${sign.charCodeAt(i).toString(16).padStart(4, "0")}`,
    ).join(""),
  );
}
