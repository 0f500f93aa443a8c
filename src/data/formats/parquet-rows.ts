/** @file Reads the rows of Parquet files, group by group; numbers and lists become what JSON would give. */
import { FormatError } from "../../errors.ts";
import type { FileMetaData, SchemaTree } from "hyparquet";
import { keepPages } from "./kept-pages.ts";
import { fromBigint } from "./long-integer.ts";
import type { ParsedRow, ParseOptions } from "./parsed-row.ts";
import type { Column } from "./parquet-pages.ts";

/** Reads the rows of a Parquet file. @throws format/file */
export async function* readParquetRows(
  bytes: Uint8Array,
  file: string,
  { onCount }: ParseOptions,
): AsyncIterable<ParsedRow> {
  // Loaded on first use: most runs read no Parquet file.
  const [{ parquetMetadataAsync, parquetReadObjects, parquetSchema }, { compressors }, pages] =
    await Promise.all([import("hyparquet"), import("hyparquet-compressors"), import("./parquet-pages.ts")]);
  const buffer = {
    byteLength: bytes.byteLength,
    slice: (start: number, end?: number) => Uint8Array.from(bytes.subarray(start, end)).buffer,
  };
  const attempt = async <T>(read: () => Promise<T>): Promise<T> => {
    try {
      return await read();
    } catch (cause) {
      const found = cause instanceof Error ? cause.message : String(cause);
      throw new FormatError("format/file", `Cannot read Parquet file "${file}": ${found}`, {
        hint: "Check that the file was copied completely, or write it again as .jsonl.",
        cause,
      });
    }
  };
  const [metadata, groups] = await attempt(async () => {
    if (bytes.byteLength === 0) throw new Error("it is empty");
    const found = await parquetMetadataAsync(buffer);
    pages.requireCounts(found, bytes.byteLength);
    return [found, columnsOf(parquetSchema(found), found)] as const;
  });
  onCount?.(Number(metadata.num_rows));
  let line = 0;
  for (const [i, group] of metadata.row_groups.entries()) {
    const numRows = Number(group.num_rows);
    const rows = await attempt(async () => {
      const { check, read } = keepPages(compressors);
      for (const column of groups[i] ?? []) pages.requirePages(bytes, column, check);
      return await parquetReadObjects({
        file: buffer,
        metadata,
        compressors: read,
        rowStart: line,
        rowEnd: line + numRows,
      });
    });
    for (const row of rows) yield { value: rowToJson(row), source: { file, line: ++line } };
  }
}

/**
 * Finds the columns of all groups in the schema, and refuses those that are missing or there twice. The library reads columns
 * in parallel without handling the errors of such a column, which would end the process.
 */
function columnsOf(schema: SchemaTree, { row_groups: groups }: FileMetaData): Column[][] {
  return groups.map(({ columns }) => {
    const seen = new Set<SchemaTree>();
    return columns.flatMap(({ meta_data: metadata }) => {
      const names = metadata?.path_in_schema ?? [];
      const path = [schema];
      for (const name of names) {
        const node = path.at(-1)!.children.find(({ element }) => element.name === name);
        if (node === undefined) throw new Error(`column ${names.join(".")} is not in the schema`);
        path.push(node);
      }
      const leaf = path.at(-1)!;
      if (seen.has(leaf)) throw new Error(`column ${names.join(".")} is there twice`);
      seen.add(leaf);
      return metadata ? [{ metadata, path }] : [];
    });
  });
}

/** Converts a row; keeps columns that are null. */
function rowToJson(row: Readonly<Record<string, unknown>>): unknown {
  return Object.fromEntries(Object.entries(row).map(([key, each]) => [key, toJson(each)]));
}

/**
 * Converts a value. 64-bit integers are bigint in Parquet. Objects in a column have every field that occurs in the column:
 * fields that are null were absent.
 */
function toJson(value: unknown): unknown {
  if (typeof value === "bigint") return fromBigint(value);
  if (Array.isArray(value)) return value.map((each) => toJson(each));
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value) || value instanceof Date)
    return value;
  const fields = Object.entries(value).filter(([, each]) => each !== null);
  return Object.fromEntries(fields.map(([key, each]) => [key, toJson(each)]));
}
