/** @file Pauses that a user sets by hand: `0-99:300,100-:100` is 300 ms after each of the first hundred steps, then 100 ms. */

/** A range of steps (from 0, `to` included), and the pause after each. */
export interface PauseRange {
  readonly from: number;
  readonly to: number;
  readonly pauseMs: number;
}

const RANGE = /^(\d{1,9})-(\d{0,9}):(\d{1,7})$/;

/** Parses a schedule, sorted by first steps; null: it is invalid. */
export function readPauseSchedule(text: string): readonly PauseRange[] | null {
  const ranges = text.split(",").map((part): PauseRange | null => {
    const [, from = "", to = "", pauseMs = ""] = RANGE.exec(part.trim()) ?? [];
    const range = { from: Number(from), to: to === "" ? Infinity : Number(to), pauseMs: Number(pauseMs) };
    return pauseMs === "" || range.to < range.from ? null : range;
  });
  const read = ranges.filter((range) => range !== null);
  return read.length < ranges.length ? null : read.sort((a, b) => a.from - b.from);
}

/** The pause of a step, from the first range that contains it; null: none does. */
export function pauseOf(ranges: readonly PauseRange[], step: number): number | null {
  return ranges.find(({ from, to }) => step >= from && step <= to)?.pauseMs ?? null;
}
