/**
 * @file Checks uploaded data as far as possible before a job reads it: it is not empty, it is text, and its lines are objects.
 * Compressed data is unpacked piece by piece, and nothing of it is kept.
 */
import { decompressInSlices } from "../../data/files/compressions.ts";
import { compressionOf, findFileKind } from "../../data/formats/file-kinds.ts";
import { parseJsonLineBytes } from "../../data/formats/json-rows.ts";
import { countLineEnds, decodeLines, findWrongByte } from "../../data/formats/utf8.ts";
import { isRecord } from "../../data/rows/row-error.ts";
import { dataEnding } from "../../jobs/state-folder.ts";
import { ApiError } from "../api-error.ts";
import { describeJsonFault } from "../requests/json-fault.ts";
import type { Limits } from "../requests/limits.ts";
import { inTurns } from "../texts/in-turns.ts";

const LINE_END = 0x0a;

/** A part of a file, and the number of line ends before it. */
interface Part {
  readonly bytes: Uint8Array;
  readonly linesBefore: number;
}

function refuse(message: string): never {
  throw new ApiError(400, "invalid_file", message, { param: "file" });
}

/** @throws ApiError 400 that names the line */
export async function requireData(
  filename: string,
  content: Uint8Array,
  { maxBodyBytes }: Pick<Limits, "maxBodyBytes">,
): Promise<void> {
  const slices = slicesOf(filename, content);
  const { name, form } = findFileKind(dataEnding(filename))!;
  if (typeof form === "object") return await requireBytes(filename, slices, { name, ...form });
  let [numBytes, numRows] = [0, 0];
  const whole: Uint8Array[] = [];
  const parts =
    form === "json-lines"
      ? partsOf(slices, ROW_END, (numBegun, line) => {
          if (numBegun <= maxBodyBytes) return;
          refuse(
            `Line ${line} of "${filename}" is longer than ${maxBodyBytes} bytes, expected at most the size of a request`,
          );
        })
      : partsOf(slices, TEXT_END);
  for await (const part of parts) {
    await requireText(filename, part);
    if (form === "json-lines") numRows += await countRows(filename, part);
    numBytes += part.bytes.length;
    // Only a compressed file can be larger, and it is a single value: the job reports what is wrong with it.
    if (form === "json" && numBytes <= maxBodyBytes) whole.push(part.bytes);
  }
  if (numBytes === 0) refuse(`The file "${filename}" is empty`);
  if (form === "json-lines" && numRows === 0) refuse(`The file "${filename}" has no rows`);
  if (form === "json" && numBytes <= maxBodyBytes)
    requireJson(filename, new TextDecoder().decode(Buffer.concat(whole)));
}

async function* slicesOf(filename: string, content: Uint8Array): AsyncGenerator<Uint8Array> {
  const compression = compressionOf(filename);
  if (compression === null || content.length === 0) {
    yield content;
    return;
  }
  const slices = decompressInSlices(content, compression);
  for (;;) {
    const step = await slices.next().catch((error: unknown) => {
      const found = error instanceof Error ? error.message : String(error);
      return refuse(
        `The file "${filename}" cannot be unpacked: ${found}, expected a whole ${compression} file`,
      );
    });
    if (step.done === true) return;
    yield step.value;
  }
}

/** Finds where the last complete item of a slice ends; 0: the slice is part of one item. */
type FindEnd = (slice: Uint8Array) => number;

/** In text without rows, items are characters, of at most four bytes. */
const TEXT_END: FindEnd = (slice) => {
  const first = slice.subarray(-4).findLastIndex((byte) => (byte & 0xc0) !== 0x80);
  return Math.max(0, slice.length - 4) + Math.max(0, first);
};
const ROW_END: FindEnd = (slice) => slice.lastIndexOf(LINE_END) + 1;

/**
 * Joins slices into parts that end where rows or characters end. The last part includes the rest before it, since a rest of a few
 * bytes might not show its encoding.
 */
async function* partsOf(
  slices: AsyncIterable<Uint8Array>,
  findEnd: FindEnd,
  onBegun: (numBytes: number, line: number) => void = () => {},
): AsyncGenerator<Part> {
  let begun: Uint8Array[] = [];
  let numBegun = 0;
  let last: Uint8Array = new Uint8Array();
  let linesBefore = 0;
  for await (const slice of slices) {
    const end = findEnd(last);
    if (end > 0) {
      const bytes = joined([...begun, last.subarray(0, end)]);
      yield { bytes, linesBefore };
      linesBefore += countLineEnds(bytes);
      begun = [];
      numBegun = 0;
    }
    if (end < last.length) begun.push(last.subarray(end));
    numBegun += last.length - end;
    onBegun(numBegun, linesBefore + 1);
    last = slice;
  }
  yield { bytes: joined([...begun, last]), linesBefore };
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
}

async function requireText(filename: string, { bytes, linesBefore }: Part): Promise<void> {
  await inTurns(decodeLines(bytes, filename), () => {}).catch(() => {
    const line = linesBefore + 1 + countLineEnds(bytes.subarray(0, findWrongByte(bytes)));
    refuse(`Line ${line} of "${filename}" is not UTF-8`);
  });
}

async function countRows(filename: string, { bytes, linesBefore }: Part): Promise<number> {
  const rows = await inTurns(parseJsonLineBytes(bytes, filename), (row) => {
    const wanted = "fault" in row ? "JSON" : isRecord(row.value) ? null : "an object of JSON";
    if (wanted === null) return;
    refuse(`Line ${linesBefore + row.source.line} of "${filename}" is not ${wanted}`);
  });
  return rows.length;
}

function requireJson(filename: string, text: string): void {
  try {
    JSON.parse(text);
  } catch (error) {
    refuse(`The file "${filename}" is not JSON: ${describeJsonFault(text, error)}`);
  }
}

/** Checks the first and last bytes against those of files of their kind. */
async function requireBytes(
  filename: string,
  slices: AsyncIterable<Uint8Array>,
  { name, ends }: { readonly name: string; readonly ends: string },
): Promise<void> {
  let [first, last, numBytes] = [new Uint8Array(), new Uint8Array(), 0];
  for await (const slice of slices) {
    const { length } = ends;
    if (first.length < length) first = Buffer.concat([first, slice.subarray(0, length - first.length)]);
    const seen = Buffer.concat([last, slice.subarray(Math.max(0, slice.length - length))]);
    last = seen.subarray(Math.max(0, seen.length - length));
    numBytes += slice.length;
  }
  if (numBytes === 0) refuse(`The file "${filename}" is empty`);
  const isWhole = [first, last].every((bytes) => Buffer.from(bytes).toString("latin1") === ends);
  if (!isWhole || numBytes <= 2 * ends.length)
    refuse(`The file "${filename}" is not ${name}, or is truncated`);
}
