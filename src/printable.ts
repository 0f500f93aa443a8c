/**
 * @file Text of files made fit for a terminal: what would move its cursor, set its title, turn the writing round or hide is
 * written as an escape, and what nobody reads to its end is cut.
 */

/**
 * C0 and C1 controls but tab and line feed, marks of direction, separators of lines that are none on a terminal, the byte
 * order mark, tags that do not show, and halves of pairs.
 */
const UNSAFE =
  // oxlint-disable-next-line no-control-regex
  /[\u0000-\u0008\u000B-\u001F\u007F-\u009F\u061C\u200B\u200E\u200F\u2028-\u202E\u2060-\u206F\uFEFF\u{E0000}-\u{E007F}\p{Cs}]/gu;
/** Colours, which are what `picocolors` writes and which stay, or an unsafe character. */
const UNSAFE_BUT_COLORS = new RegExp(`\\u001B\\[[0-9;]{1,11}m|${UNSAFE.source}`, "gu");
/** Characters of a message that are kept from its beginning and its end. */
const [HEAD, TAIL] = [3000, 900];

function escape(sign: string): string {
  return `\\u{${sign.codePointAt(0)!.toString(16)}}`;
}

/** Escapes what does not show. */
export function printable(text: string): string {
  return text.replace(UNSAFE, escape);
}

/** As `printable`, for text that holds colours of the program itself, which stay. */
export function printableInColor(text: string): string {
  return text.replace(UNSAFE_BUT_COLORS, (sign) => (sign.endsWith("m") ? sign : escape(sign)));
}

/** As `printable`, and cut in the middle when it is longer than a message that somebody reads. */
export function readable(text: string): string {
  if (text.length <= HEAD + TAIL) return printable(text);
  const cut = text.length - HEAD - TAIL;
  return printable(`${text.slice(0, HEAD)} … (${cut} characters) … ${text.slice(-TAIL)}`);
}

/** Escapes the same in JSON text, whose strings then still say the same. */
export function printableJson(json: string): string {
  return json.replace(UNSAFE, (sign) =>
    Array.from(
      { length: sign.length },
      (_, i) => `\\u${sign.charCodeAt(i).toString(16).padStart(4, "0")}`,
    ).join(""),
  );
}
