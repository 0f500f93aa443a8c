/** @file Rows of Parquet files, group after group; numbers and lists come as JSON would have them. */
import { FormatError } from "../../errors.ts";
import type { FileMetaData, SchemaTree } from "hyparquet";
import { LongInteger } from "./long-integer.ts";
import type { ParsedRow, ParseOptions } from "./parsed-row.ts";

/** Reads the rows of a Parquet file. @throws format/file */
export async function* readParquetRows(
  bytes: Uint8Array,
  file: string,
  { onCount }: ParseOptions,
): AsyncIterable<ParsedRow> {
  // Loaded where one is read: most runs read none.
  const [{ parquetMetadataAsync, parquetReadObjects, parquetSchema }, { compressors }] = await Promise.all([
    import("hyparquet"),
    import("hyparquet-compressors"),
  ]);
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
        hint: "Check that the file was copied whole, or write it anew as .jsonl.",
        cause,
      });
    }
  };
  const metadata = await attempt(async () => {
    const found = await parquetMetadataAsync(buffer);
    requireColumnsOf(parquetSchema(found), found);
    return found;
  });
  onCount?.(Number(metadata.num_rows));
  let line = 0;
  for (const group of metadata.row_groups) {
    const numRows = Number(group.num_rows);
    const rows = await attempt(() =>
      parquetReadObjects({ file: buffer, metadata, compressors, rowStart: line, rowEnd: line + numRows }),
    );
    for (const row of rows) yield { value: toJson(row, true), source: { file, line: ++line } };
  }
}

/**
 * Holds the columns of all groups against the schema. The library reads them one beside another, and would hear nothing of the
 * errors of one that is not in the schema, or there twice: the process would end.
 */
function requireColumnsOf(schema: SchemaTree, { row_groups: groups }: FileMetaData): void {
  for (const { columns } of groups) {
    const seen = new Set<SchemaTree>();
    for (const { meta_data: column } of columns) {
      const path = column?.path_in_schema ?? [];
      let node: SchemaTree | undefined = schema;
      for (const name of path) node = node?.children.find(({ element }) => element.name === name);
      if (node === undefined) throw new Error(`column ${path.join(".")} is not in the schema`);
      if (seen.has(node)) throw new Error(`column ${path.join(".")} is there twice`);
      seen.add(node);
    }
  }
}

/** 64-bit integers are bigint in Parquet, and what lies in a column has every field that a row of it has, most of them null. */
function toJson(value: unknown, isColumn = false): unknown {
  if (typeof value === "bigint")
    return Number.isSafeInteger(Number(value)) ? Number(value) : new LongInteger(String(value));
  if (Array.isArray(value)) return value.map((each) => toJson(each));
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value) || value instanceof Date)
    return value;
  const fields = Object.entries(value).filter(([, each]) => isColumn || each !== null);
  return Object.fromEntries(fields.map(([key, each]) => [key, toJson(each)]));
}
