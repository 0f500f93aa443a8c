/**
 * @file Progress on standard error: a bar on a terminal, a plain line now and then elsewhere.
 *
 * A bar counts steps or bytes and can carry notes (loss, tokens/s, memory); it works out the time left itself.
 */
import cliProgress from "cli-progress";

import { formatBytes, formatDuration } from "./numbers.ts";

/** What a bar counts. */
export type ProgressUnit = "steps" | "bytes";

/** Short texts beside the bar, in this order; the caller formats the numbers. */
export type ProgressNotes = Readonly<Record<string, string>>;

/** A running bar. */
export interface Bar {
  /** Moves the bar to `value`; notes stay until they are replaced. */
  update(value: number, notes?: ProgressNotes): void;
  /** Ends the bar; nothing is drawn after it. */
  stop(): void;
}

/** Starts a bar; a total of `null` means that the end is unknown. */
export type ProgressFactory = (label: string, total: number | null, unit: ProgressUnit) => Bar;

/** Where the bars are drawn. */
export interface ProgressTarget {
  readonly stream: NodeJS.WritableStream;
  readonly interactive: boolean;
  /** Current time in milliseconds. */
  readonly now: () => number;
}

const LINE_EVERY_MS = 10_000;
const BAR_WIDTH = 16;

/** State of a bar that its text depends on. */
interface BarState {
  readonly label: string;
  readonly value: number;
  readonly total: number | null;
  readonly unit: ProgressUnit;
  readonly notes: ProgressNotes;
  readonly elapsedMs: number;
  /** Value at the start, which no time was spent on (a resumed download). */
  readonly startValue: number;
}

/** Writes a bar as one line of text. */
export function formatBar(state: BarState): string {
  const { value, total, elapsedMs } = state;
  const count = state.unit === "bytes" ? formatBytes : String;
  const parts = [total === null ? count(value) : `${count(value)}/${count(total)}`];
  const gained = value - state.startValue;
  if (state.unit === "bytes" && gained > 0 && elapsedMs > 0)
    parts.push(`${formatBytes((gained / elapsedMs) * 1000)}/s`);
  for (const [name, note] of Object.entries(state.notes)) parts.push(`${name} ${note}`);
  if (total !== null && gained > 0 && value < total) {
    parts.push(`${formatDuration((elapsedMs / gained) * (total - value))} left`);
  }
  if (total === null || total <= 0) return `${state.label}  ${parts.join("  ")}`;
  const filled = Math.round(Math.min(1, value / total) * BAR_WIDTH);
  return `${state.label}  ${"█".repeat(filled)}${"░".repeat(BAR_WIDTH - filled)}  ${parts.join("  ")}`;
}

/** Makes the bars of one run of the program. */
export function createProgress({ stream, interactive, now }: ProgressTarget): ProgressFactory {
  return (label, total, unit) => {
    const startedAt = now();
    let startValue: number | null = null;
    let [value, notes, writtenAt, written] = [0, {} as ProgressNotes, startedAt, ""];
    const text = (): string =>
      formatBar({
        label,
        value,
        total,
        unit,
        notes,
        elapsedMs: now() - startedAt,
        startValue: startValue ?? 0,
      });
    const line = (): void => {
      const current = text();
      if (current !== written) stream.write(`${current}\n`);
      [writtenAt, written] = [now(), current];
    };
    const bar = interactive
      ? new cliProgress.SingleBar({ stream, format: text, hideCursor: true, linewrap: true, fps: 5 })
      : null;
    // The library wants a total; the text is ours and knows better.
    bar?.start(total ?? Number.MAX_SAFE_INTEGER, 0);
    return {
      update(newValue, newNotes) {
        startValue ??= newValue;
        value = newValue;
        if (newNotes !== undefined) notes = newNotes;
        if (bar !== null) bar.update(newValue);
        else if (now() - writtenAt >= LINE_EVERY_MS) line();
      },
      stop() {
        if (bar !== null) bar.stop();
        else if (written !== "") line();
      },
    };
  };
}
