/**
 * @file Reads forms with files (RFC 7578). Each form is rewritten before the library parses it. The library would accept a
 * boundary in the middle of a line, where a file may contain it (RFC 2046, 5.1.1), and understands quotes in names only as
 * browsers write them, `%22`, while curl writes `\"`.
 */

/** An escaped quote in a name, which does not end the name. */
const ESCAPED_QUOTE = /\\"(?=[^;\r\n])/g;
/** What follows a boundary: `--` after the last; blanks after others are ignored. */
const BEHIND = /^(?:--|([ \t]*)\r\n)/;
const MAX_BLANKS = 64;
/** No form of this API has as many parts, but a body could contain a million. */
const MAX_PARTS = 32;

/** Reads a multipart form; null: the body is not one. */
export async function readForm(bytes: Uint8Array<ArrayBuffer>, type = ""): Promise<FormData | null> {
  if (!/^multipart\/form-data\b/i.test(type)) return null;
  const [, boundary] = /boundary="?([^";]+)/i.exec(type) ?? [];
  if (boundary === undefined) return null;
  const parts = partsOf(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), boundary.trim());
  if (parts === null) return null;
  const own = crypto.randomUUID();
  const pieces = parts.flatMap((part) => [`--${own}`, ...withPlainQuotes(part), "\r\n"]);
  const headers = { "content-type": `multipart/form-data; boundary=${own}` };
  return await new Response(new Blob([...pieces, `--${own}--\r\n`]), { headers })
    .formData()
    .catch(() => null);
}

/**
 * The parts between the boundaries, each with the line end before its headers; null: the last boundary is missing, or there are
 * too many parts.
 */
function partsOf(body: Buffer<ArrayBuffer>, boundary: string): Buffer<ArrayBuffer>[] | null {
  const mark = Buffer.from(`\r\n--${boundary}`, "latin1");
  const parts: Buffer<ArrayBuffer>[] = [];
  let begin: number | null = null;
  // No line end precedes the first boundary.
  const first = mark.subarray(2).equals(body.subarray(0, mark.length - 2)) ? -2 : body.indexOf(mark);
  for (let at = first; at !== -1; at = body.indexOf(mark, at + mark.length)) {
    const end = at + mark.length;
    const behind = BEHIND.exec(body.toString("latin1", end, end + MAX_BLANKS));
    if (behind === null) continue;
    if (begin !== null) parts.push(body.subarray(begin, at));
    const [, blanks] = behind;
    if (blanks === undefined) return parts;
    if (parts.length === MAX_PARTS) return null;
    begin = end + blanks.length;
  }
  return null;
}

/** The headers and content of a part, with quotes in the form that the library reads. */
function withPlainQuotes(part: Buffer<ArrayBuffer>): Buffer<ArrayBuffer>[] {
  const end = Math.max(0, part.indexOf("\r\n\r\n"));
  // One character per byte.
  const headers = part.toString("latin1", 0, end).replaceAll(ESCAPED_QUOTE, "%22");
  return [Buffer.from(headers, "latin1"), part.subarray(end)];
}
