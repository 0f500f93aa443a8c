/** @file A row as it comes out of a file, before anything has been checked of it. */
import type { FormatError } from "../../errors.ts";
import type { ExampleSource } from "../examples/example.ts";

/** A row, or why there is none at its place. */
export type ParsedRow =
  | { readonly value: unknown; readonly source: ExampleSource }
  | { readonly fault: FormatError; readonly source: ExampleSource };

/** What a reader of rows has to know besides the file. */
export interface ParseOptions {
  /** The first line of a table is a row, and its columns are numbered from 1. */
  readonly hasNoHeader: boolean;
  /** Is told how many rows there are, where that is known before they are read. */
  readonly onCount?: (numRows: number) => void;
}
