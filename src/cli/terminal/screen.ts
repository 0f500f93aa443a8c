/** @file A terminal's screen: permanent lines, and below them one line that changes, the status. */

/** Goes to the start of the line and erases it. */
const ERASE_LINE = "\r\x1b[2K";
/** Assumed width of a terminal that does not report it. */
const USUAL_COLUMNS = 80;

/** Writes lines and keeps the status below them. */
export interface Screen {
  /** Writes whole lines to a stream of this screen. */
  write(stream: NodeJS.WritableStream, lines: string): void;
  /** Replaces the status by a text of at most `columns` - 1 characters; an empty text removes it. */
  setStatus(text: string): void;
  /** Current width; it changes with the window. */
  columns(): number;
}

/** The width of the terminal behind a stream; null if there is none. */
export function columnsOf(stream: NodeJS.WritableStream): number | null {
  const { columns, isTTY } = stream as Partial<NodeJS.WriteStream>;
  if (isTTY !== true) return null;
  return columns === undefined || columns <= 0 ? USUAL_COLUMNS : columns;
}

/** Makes the screen whose status is drawn on `stream`. */
export function createScreen(stream: NodeJS.WritableStream): Screen {
  let status = "";
  return {
    write(target, lines) {
      if (status !== "") stream.write(ERASE_LINE);
      target.write(lines);
      if (status !== "") stream.write(status);
    },
    setStatus(text) {
      if (text === status) return;
      stream.write((status === "" ? "" : ERASE_LINE) + text);
      status = text;
    },
    columns: () => columnsOf(stream) ?? USUAL_COLUMNS,
  };
}
