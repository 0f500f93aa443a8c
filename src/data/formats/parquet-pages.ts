/**
 * @file Checks what the pages of a Parquet file claim before the library reads them: it allocates as many values as a count or
 * the length of a run says, so a single damaged byte could cost gigabytes.
 */
import type {
  ColumnMetaData,
  Compressors,
  DataPageHeader,
  FileMetaData,
  PageHeader,
  SchemaTree,
} from "hyparquet";
import { parquetHeader } from "hyparquet/src/column.js";
import { decompressPage } from "hyparquet/src/datapage.js";
import { deltaBinaryUnpack } from "hyparquet/src/delta.js";
import { readRleBitPackedHybrid } from "hyparquet/src/encoding.js";
import { getMaxDefinitionLevel, getMaxRepetitionLevel } from "hyparquet/src/schema.js";
import { readVarInt } from "hyparquet/src/thrift.js";
import { maxDecompressedBytes } from "../../untrusted/limits.ts";

/**
 * How many values a byte of a file may encode, plus a constant: rows with content have at least a bit in each of dozens of
 * columns.
 */
const [VALUES_PER_BYTE, SPARE_VALUES] = [64, 1 << 20];

interface Reader {
  readonly view: DataView<ArrayBuffer>;
  offset: number;
}

function readerOf({ buffer, byteOffset, byteLength }: Uint8Array): Reader {
  return { view: new DataView(buffer as ArrayBuffer, byteOffset, byteLength), offset: 0 };
}

function require(isSo: boolean, found: string): void {
  if (!isSo) throw new Error(found);
}

/** A column of a group: its metadata, and the schema from the root to it. */
export interface Column {
  readonly metadata: ColumnMetaData;
  readonly path: readonly SchemaTree[];
}

/** Checks the numbers of rows and values against the size of a file. @throws Error */
export function requireCounts({ num_rows, row_groups: groups }: FileMetaData, sizeBytes: number): void {
  const most = SPARE_VALUES + VALUES_PER_BYTE * sizeBytes;
  const counts = groups.flatMap((group) => [
    group.num_rows,
    ...group.columns.map(({ meta_data: column }) => column?.num_values ?? 0n),
  ]);
  for (const count of [num_rows, ...counts]) {
    require(count >= 0 && count <= most, `${count} rows or values in ${sizeBytes} bytes`);
  }
}

/** Checks all pages of a column of a group against their contents. @throws Error */
export function requirePages(file: Uint8Array, column: Column, compressors: Compressors): void {
  const { metadata } = column;
  const start = Number(metadata.dictionary_page_offset || metadata.data_page_offset);
  const reader = readerOf(file.subarray(start, start + Number(metadata.total_compressed_size)));
  let numLeft = Number(metadata.num_values);
  while (numLeft > 0 && reader.offset < reader.view.byteLength - 1) {
    const header = parquetHeader(reader);
    const { compressed_page_size: size, uncompressed_page_size: wholeSize } = header;
    require(size >= 0 && size <= reader.view.byteLength - reader.offset, `a page of ${size} bytes`);
    require(wholeSize >= 0 && wholeSize <= maxDecompressedBytes(size), `${wholeSize} bytes out of ${size}`);
    const bytes = new Uint8Array(reader.view.buffer, reader.view.byteOffset + reader.offset, size);
    reader.offset += size;
    const count = countOf(header);
    require(count >= 0 && count <= Number(metadata.num_values), `a page of ${count} values`);
    if (header.dictionary_page_header) continue;
    require(count <= numLeft, `more values than the ${metadata.num_values} of the column`);
    numLeft -= count;
    const page = { header, bytes, count };
    if (header.data_page_header) requirePage(page, header.data_page_header, column, compressors);
    else requirePageV2(page, column, compressors);
  }
}

function countOf(header: PageHeader): number {
  const known = header.data_page_header ?? header.data_page_header_v2 ?? header.dictionary_page_header;
  return known?.num_values ?? -1;
}

interface Page {
  readonly header: PageHeader;
  readonly bytes: Uint8Array;
  /** Number of values, nulls included. */
  readonly count: number;
}

function requirePage(
  { header, bytes, count }: Page,
  { encoding }: DataPageHeader,
  { metadata: { codec, type }, path }: Column,
  compressors: Compressors,
): void {
  const reader = readerOf(decompressPage(bytes, header.uncompressed_page_size, codec, compressors));
  const { repetition, definition } = levelsOf(path);
  if (repetition > 0) requireLevels(reader, count, repetition);
  const numNulls = definition > 0 ? requireLevels(reader, count, definition) : 0;
  const isBoolean = type === "BOOLEAN" && !encoding.startsWith("PLAIN");
  if (isBoolean) requireRuns({ ...reader, offset: reader.offset + 4 }, 1, count - numNulls);
  else requireValues(reader, encoding, count - numNulls);
}

function requirePageV2(
  { header, bytes, count }: Page,
  { metadata: { codec }, path }: Column,
  compressors: Compressors,
): void {
  const own = header.data_page_header_v2;
  if (!own) throw new Error(`a page of type ${header.type}`);
  const { num_nulls: numNulls, repetition_levels_byte_length, definition_levels_byte_length } = own;
  require(numNulls >= 0 && numNulls <= count, `${numNulls} of ${count} values null`);
  const { repetition, definition } = levelsOf(path);
  const levels = readerOf(bytes);
  if (repetition > 0) requireRuns(levels, widthOf(repetition), count);
  levels.offset = repetition_levels_byte_length;
  if (definition > 0) requireRuns(levels, widthOf(definition), count);
  const start = repetition_levels_byte_length + definition_levels_byte_length;
  const size = header.uncompressed_page_size - start;
  const rest = bytes.subarray(start);
  const isCompressed = own.is_compressed !== false && size !== 0;
  const page = isCompressed ? decompressPage(rest, size, codec, compressors) : rest;
  const reader = readerOf(page);
  if (own.encoding === "RLE") requireRuns({ ...reader, offset: 4 }, 1, count - numNulls);
  else requireValues(reader, own.encoding, count - numNulls);
}

/** The maximum repetition and definition levels of a column. */
function levelsOf(path: readonly SchemaTree[]): { readonly repetition: number; readonly definition: number } {
  return { repetition: getMaxRepetitionLevel([...path]), definition: getMaxDefinitionLevel([...path]) };
}

function widthOf(most: number): number {
  return 32 - Math.clz32(most);
}

/** Reads past levels that are preceded by their length, and counts those below the maximum, `most`. */
function requireLevels(reader: Reader, count: number, most: number): number {
  requireRuns({ view: reader.view, offset: reader.offset + 4 }, widthOf(most), count);
  const levels = Array.from({ length: count }, () => 0);
  readRleBitPackedHybrid(reader, widthOf(most), levels);
  return levels.filter((level) => level !== most).length;
}

/** Checks that runs of one value are no longer than the number of values left; packed runs end with their page. */
function requireRuns(reader: Reader, width: number, count: number): void {
  for (let left = count; left > 0;) {
    const header = readVarInt(reader);
    const isPacked = (header & 1) === 1;
    const length = (header >>> 1) * (isPacked ? 8 : 1);
    const isBounded = length <= left + 7 || (isPacked && width > 0);
    require(isBounded, `a run of ${length} values where ${left} are left`);
    reader.offset += isPacked ? (header >>> 1) * width : (width + 7) >> 3;
    left -= length;
  }
}

function requireValues(reader: Reader, encoding: string, count: number): void {
  if (encoding.endsWith("DICTIONARY")) requireRuns(reader, reader.view.getUint8(reader.offset++), count);
  else if (encoding === "DELTA_BYTE_ARRAY") requirePrefixes(reader, count);
  else if (encoding === "DELTA_BINARY_PACKED") {
    readVarInt(reader);
    const numMiniblocks = readVarInt(reader);
    const { byteLength } = reader.view;
    require(numMiniblocks > 0 &&
      numMiniblocks <= byteLength, `${numMiniblocks} blocks in ${byteLength} bytes`);
  }
}

/** Checks that each text shares no more bytes with the one before it than that text has, and limits the size of all. */
function requirePrefixes(reader: Reader, count: number): void {
  const [prefixes, suffixes] = [new Int32Array(count), new Int32Array(count)];
  for (const lengths of [prefixes, suffixes]) deltaBinaryUnpack(reader, count, lengths);
  let before = 0;
  let total = 0;
  for (let i = 0; i < count; i++) {
    const [prefix, suffix] = [prefixes[i]!, suffixes[i]!];
    require(prefix >= 0 &&
      prefix <= before &&
      suffix >= 0, `a text that shares ${prefix} bytes of ${before}`);
    before = prefix + suffix;
    total += before;
  }
  require(total <=
    maxDecompressedBytes(
      reader.view.byteLength,
    ), `texts of ${total} bytes in a page of ${reader.view.byteLength}`);
}
