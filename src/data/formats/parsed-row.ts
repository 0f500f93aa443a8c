/** @file A row as read from a file, before any checks. */
import type { FormatError } from "../../errors.ts";

/** The place of a row; in a .json file `line` counts items, from 1. */
export interface RowSource {
  readonly file: string;
  readonly line: number;
}

/** A row, or the reason why its place has none. */
export type ParsedRow =
  | { readonly value: unknown; readonly source: RowSource }
  | { readonly fault: FormatError; readonly source: RowSource };

/** What a parser of rows needs besides the file. */
export interface ParseOptions {
  /** The first line of a table is a row, and its columns are numbered from 1. */
  readonly hasNoHeader: boolean;
  /** Called with the number of rows, if that is known before they are read. */
  readonly onCount?: (numRows: number) => void;
}
