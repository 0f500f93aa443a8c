/** @file Decodes the bytes of a file, which must be UTF-8: anything else would be learned as garbage. */
import { FormatError } from "../../errors.ts";

/** Bytes that are decoded at a time to find the first wrong one. */
const PIECE_BYTES = 1 << 16;
/** Bytes of lines that are decoded at a time. */
const LINES_BYTES = 1 << 20;
const LINE_END = 0x0a;
/** Bytes at the start of a file that are searched for zeros. */
const PROBE_BYTES = 4096;
/** Size from which the text may exceed JavaScript's maximum length of strings. */
const LONG_BYTES = 2 ** 29 - 24;

/** Hint for text that is too long. */
export const SPLIT_HINT =
  "Split it into several files in one folder, for example with split -C 256M, and give the folder.";

/** Decodes UTF-8, without a byte order mark. @throws FormatError "format/file" for another encoding, naming the first wrong byte */
export function decodeUtf8(bytes: Uint8Array, file: string): string {
  const wide = findUtf16(bytes);
  if (wide !== null) {
    throw notUtf8(file, `it is ${wide}, not UTF-8`, wide);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    // JavaScript has no strings of that length; a failure without a wrong byte has no other cause.
    if (bytes.length >= LONG_BYTES && !(cause instanceof TypeError)) throw tooLong(file, bytes.length, cause);
    if (bytes.subarray(0, PROBE_BYTES).includes(0)) throw notText(file, cause);
    // Latin-1 cannot be distinguished from similar encodings; most such files are in Windows-1252.
    throw notUtf8(file, `not UTF-8 at byte ${findWrongByte(bytes)}`, "WINDOWS-1252");
  }
}

/** Decodes UTF-8 in pieces of about a megabyte that end at line ends. @throws as `decodeUtf8`, at the piece that is wrong */
export function* decodeLines(bytes: Uint8Array, file: string): Iterable<string> {
  if (findUtf16(bytes) !== null) decodeUtf8(bytes, file);
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const hasMark = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
  for (let start = hasMark ? 3 : 0; start < bytes.length;) {
    const lineEnd = bytes.indexOf(LINE_END, start + LINES_BYTES);
    const end = lineEnd < 0 ? bytes.length : lineEnd + 1;
    let text: string;
    try {
      text = decoder.decode(bytes.subarray(start, end));
    } catch {
      // Decodes from the start, so that the error gives the byte's offset in the file.
      text = decodeUtf8(bytes, file);
    }
    yield text;
    start = end;
  }
}

/** Counts line ends. */
export function countLineEnds(bytes: Uint8Array): number {
  let count = 0;
  for (let at = bytes.indexOf(LINE_END); at >= 0; at = bytes.indexOf(LINE_END, at + 1)) count++;
  return count;
}

function tooLong(file: string, numBytes: number, cause: unknown): FormatError {
  return new FormatError(
    "format/file",
    `Cannot read data set "${file}": ${numBytes} bytes of text, expected at most half a gigabyte in a file or line`,
    { hint: SPLIT_HINT, cause },
  );
}

function notText(file: string, cause: unknown): FormatError {
  return new FormatError("format/file", `Cannot read data set "${file}": it is not text, expected UTF-8`, {
    hint: "Renaming a file does not convert it: export it as text from the program that made it, or restore its ending.",
    cause,
  });
}

function notUtf8(file: string, found: string, encoding: string): FormatError {
  return new FormatError("format/file", `Cannot read data set "${file}": ${found}, expected UTF-8`, {
    hint: `Save it as UTF-8, in an editor or with iconv -f ${encoding} -t UTF-8 OLD > NEW.`,
  });
}

/** Detects UTF-16 by the mark at the start, or by zeros in every other byte; null: it is not. */
function findUtf16(bytes: Uint8Array): "UTF-16LE" | "UTF-16BE" | null {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return "UTF-16LE";
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return "UTF-16BE";
  const probe = bytes.subarray(0, PROBE_BYTES);
  if (probe.includes(LINE_END) && !hasWideLineEnd(probe)) return null;
  let [even, odd] = [0, 0];
  for (let i = 0; i < probe.length; i += 2) if (probe[i] === 0) even++;
  for (let i = 1; i < probe.length; i += 2) if (probe[i] === 0) odd++;
  // Letters of other scripts have few zero bytes, but spaces, line breaks and the punctuation of JSON have one.
  if (odd > even * 4 && odd * 20 > probe.length) return "UTF-16LE";
  if (even > odd * 4 && even * 20 > probe.length) return "UTF-16BE";
  return null;
}

/** Whether a line ends as in UTF-16. Text with one byte per character may contain zeros too, but not beside line ends. */
function hasWideLineEnd(probe: Uint8Array): boolean {
  return probe.some((byte, i) => byte === LINE_END && probe[i % 2 === 0 ? i + 1 : i - 1] === 0);
}

/** Offset of the first byte that does not begin a character. */
export function findWrongByte(bytes: Uint8Array): number {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let start = 0;
  try {
    for (; start < bytes.length; start += PIECE_BYTES) {
      decoder.decode(bytes.subarray(start, start + PIECE_BYTES), { stream: true });
    }
    start = Math.max(0, start - PIECE_BYTES);
  } catch {
    // It is in this piece, or in the last character of the piece before.
  }
  let at = Math.max(0, start - 3);
  while (at > 0 && isContinuation(bytes[at]!)) at--;
  while (at < bytes.length) {
    const length = characterLength(bytes[at]!);
    if (length === 0 || !isCharacter(bytes.subarray(at, at + length), length)) return at;
    at += length;
  }
  return at;
}

function isContinuation(byte: number): boolean {
  return (byte & 0xc0) === 0x80;
}

/** Length in bytes of the character that begins with a byte; 0: no character does. */
function characterLength(byte: number): number {
  if (byte < 0x80) return 1;
  if (byte >= 0xc2 && byte < 0xe0) return 2;
  if (byte >= 0xe0 && byte < 0xf0) return 3;
  return byte >= 0xf0 && byte < 0xf5 ? 4 : 0;
}

function isCharacter(bytes: Uint8Array, length: number): boolean {
  if (length === 1) return true;
  try {
    new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    return bytes.length === length;
  } catch {
    return false;
  }
}
