/** @file Flags of reading rows, and a progress bar for large files. */
import { basename } from "node:path";
import { z } from "zod";

import type { ReadingProgress, ReadOptions } from "../../data/files/read-files.ts";
import { COLUMNS, readColumns } from "../../data/rows/columns.ts";
import type { CommandIO } from "../command.ts";
import { warn } from "../report.ts";
import { LateBar } from "../terminal/late-bar.ts";
import type { Bar } from "../terminal/progress.ts";

/** Flags of every command that reads rows. */
export const ROW_FLAGS = {
  columns: COLUMNS,
  skipFaulty: z.boolean().default(false).describe("Skip unusable rows, and count them"),
};

/** A progress bar over the rows of each file; drawn only for large ones. */
export class ReadingBar {
  readonly #io: CommandIO;
  readonly #bar = new LateBar();

  constructor(io: CommandIO) {
    this.#io = io;
  }

  update({ file, numRows, totalRows }: ReadingProgress): void {
    const begin = (): Bar => this.#io.progress(`reading ${basename(file)}`, totalRows, "steps");
    this.#bar.update(numRows, begin, { of: file });
  }

  stop(): void {
    this.#bar.stop();
  }
}

/** Reads data with the flags of a command and a progress bar, and warns of files that are not read. */
export async function withReading<T>(
  { columns, skipFaulty }: z.output<z.ZodObject<typeof ROW_FLAGS>>,
  io: CommandIO,
  read: (
    how: Required<
      Pick<ReadOptions, "columns" | "skipFaulty" | "signal" | "onProgress" | "onSkipped" | "env">
    >,
  ) => Promise<T>,
): Promise<T> {
  const bar = new ReadingBar(io);
  // Remembered, since data may be read more than once.
  const skipped = new Set<string>();
  try {
    const onProgress = (progress: ReadingProgress): void => bar.update(progress);
    return await read({
      columns: readColumns(columns),
      skipFaulty,
      signal: io.signal,
      env: io.env,
      onProgress,
      onSkipped: (note) => void skipped.add(note),
    });
  } finally {
    bar.stop();
    for (const note of skipped) warn(note, io);
  }
}
