/** @file Flags that say how rows are read, and a bar while large files are. */
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

/** A bar of the rows of one file after another; nothing is drawn before a large one is read. */
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

/** Reads data by the flags of a command, with a bar, and warns of files that are not read. */
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
  // Data may be read more than once.
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
