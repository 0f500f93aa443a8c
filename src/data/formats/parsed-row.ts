/** @file A row as it comes out of a file, before anything has been checked of it. */
import type { FormatError } from "../../errors.ts";

/** Where a row came from; in a .json file `line` counts the items, from 1. */
export interface RowSource {
  readonly file: string;
  readonly line: number;
}

/** A row, or why there is none at its place. */
export type ParsedRow =
  | { readonly value: unknown; readonly source: RowSource }
  | { readonly fault: FormatError; readonly source: RowSource };

/** What a reader of rows has to know besides the file. */
export interface ParseOptions {
  /** The first line of a table is a row, and its columns are numbered from 1. */
  readonly hasNoHeader: boolean;
  /** Is told how many rows there are, where that is known before they are read. */
  readonly onCount?: (numRows: number) => void;
}
