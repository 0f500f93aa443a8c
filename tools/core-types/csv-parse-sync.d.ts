/** @file The parts of `csv-parse/sync` that graft uses; the package's own types would bring in those of Node. */

export class CsvError extends Error {
  readonly code: string;
  readonly [key: string]: unknown;
}

export function parse(
  text: string,
  options: Readonly<Record<string, unknown>> & { on_skip(error: CsvError | undefined): void },
): unknown[];
