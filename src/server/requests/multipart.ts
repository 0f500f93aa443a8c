/**
 * @file Reads forms with files (RFC 7578) as browsers send them. It also reads those of curl, which writes a quote in a
 * name as `\"`.
 */

/** A quote in a name, which neither ends it nor the line. */
const ESCAPED_QUOTE = /\\"(?=[^;\r\n])/g;

/** Reads a multipart form; null: it is none. */
export async function readForm(bytes: Uint8Array<ArrayBuffer>, type = ""): Promise<FormData | null> {
  if (!/^multipart\/form-data\b/i.test(type)) return null;
  const parse = (body: Blob | Uint8Array<ArrayBuffer>): Promise<FormData | null> =>
    new Response(body, { headers: { "content-type": type } }).formData().catch(() => null);
  return (await parse(bytes)) ?? (await parse(withPlainQuotes(bytes, type)));
}

/** Has quotes in the headers of parts written as browsers do, `%22`, the one way that is read. */
function withPlainQuotes(bytes: Uint8Array<ArrayBuffer>, type: string): Blob {
  // A character a byte, so that places are the same.
  const text = new TextDecoder("latin1").decode(bytes);
  const begin = `--${/boundary="?([^";]+)/i.exec(type)?.[1] ?? ""}\r\n`;
  const pieces: (Uint8Array<ArrayBuffer> | string)[] = [];
  let place = 0;
  for (let at = text.indexOf(begin); at >= 0; at = text.indexOf(begin, at + begin.length)) {
    for (const { index } of text.slice(at, text.indexOf("\r\n\r\n", at)).matchAll(ESCAPED_QUOTE)) {
      pieces.push(bytes.subarray(place, at + index), "%22");
      place = at + index + 2;
    }
  }
  return new Blob([...pieces, bytes.subarray(place)]);
}
