/** @file What graft uses of `csv-parse/sync`, whose own types bring those of Node into every program that reads them. */

export class CsvError extends Error {
  readonly code: string;
  readonly [key: string]: unknown;
}

export function parse(
  text: string,
  options: Readonly<Record<string, unknown>> & { on_skip(error: CsvError | undefined): void },
): unknown[];
