/**
 * @file Progress on standard error: a bar on a terminal, a plain line now and then elsewhere.
 *
 * A bar counts steps or bytes and may have notes (loss, tokens/s, memory); it computes the remaining time itself.
 */
import { printable } from "../../printable.ts";
import { formatBytes, formatDuration } from "../../messages/numbers.ts";
import type { Screen } from "./screen.ts";

/** What a bar counts. */
type ProgressUnit = "steps" | "bytes";

/** Short texts beside the bar, the most important first: the last ones are dropped first. The caller formats the numbers. */
type ProgressNotes = Readonly<Record<string, string>>;

export interface Bar {
  /** Moves the bar to `value`; notes stay until they are replaced. */
  update(value: number, notes?: ProgressNotes): void;
  /** Ends the bar and leaves it as a line; nothing is drawn afterwards. */
  stop(): void;
}

/** Starts a bar; a total of `null` means that the end is unknown. */
export type ProgressFactory = (label: string, total: number | null, unit: ProgressUnit) => Bar;

/** Where the bars are drawn. */
interface ProgressTarget {
  readonly stream: NodeJS.WritableStream;
  /** Null: standard error is not a terminal that somebody watches. */
  readonly screen: Screen | null;
  /** Current time in milliseconds. */
  readonly now: () => number;
}

const LINE_EVERY_MS = 10_000;
const DRAW_EVERY_MS = 200;
/** Widths of the bar, the preferred first. */
const BAR_WIDTHS = [16, 8, 4];

/** The state that determines the text of a bar. */
interface BarState {
  readonly label: string;
  readonly value: number;
  readonly total: number | null;
  readonly unit: ProgressUnit;
  readonly notes: ProgressNotes;
  readonly elapsedMs: number;
  /** Value at the start, which took no time (a resumed download). */
  readonly startValue: number;
}

/** Formats a bar as one line of at most `width` characters: count and time left are kept, notes and bar are shortened. */
export function formatBar(state: BarState, width = Number.POSITIVE_INFINITY): string {
  const { label, value, total, elapsedMs } = state;
  const count = state.unit === "bytes" ? formatBytes : String;
  const gained = value - state.startValue;
  const counted = [total === null ? count(value) : `${count(value)}/${count(total)}`];
  if (state.unit === "bytes" && gained > 0 && elapsedMs > 0)
    counted.push(`${formatBytes((gained / elapsedMs) * 1000)}/s`);
  const notes = Object.entries(state.notes).map(([name, note]) => `${name} ${note}`);
  const left =
    total !== null && gained > 0 && value < total
      ? [`${formatDuration((elapsedMs / gained) * (total - value))} left`]
      : [];
  const share = total === null || total <= 0 ? null : Math.min(1, value / total);
  const bars = share === null ? [[]] : BAR_WIDTHS.map((numCells) => [drawBar(share, numCells)]);
  const lines = Array.from({ length: notes.length + 1 }, (_, numLeftOut) =>
    bars.map((bar) => [label, ...bar, ...counted, ...notes.slice(0, notes.length - numLeftOut), ...left]),
  ).flat();
  const narrow = [
    [label, ...counted, ...left],
    [...counted, ...left],
  ];
  const fitting = [...lines, ...narrow].map((parts) => parts.join("  ")).find((line) => line.length <= width);
  return fitting ?? counted.join("  ").slice(0, width);
}

function drawBar(share: number, numCells: number): string {
  const numFilled = Math.round(share * numCells);
  return "█".repeat(numFilled) + "░".repeat(numCells - numFilled);
}

/** Makes the bars of one run of the program. */
export function createProgress({ stream, screen, now }: ProgressTarget): ProgressFactory {
  return (name, total, unit) => {
    // A label may contain a file name, and must be one line.
    const label = printable(name.replaceAll(/\s/g, " "));
    const startedAt = now();
    let startValue: number | null = null;
    let [value, notes, writtenAt, written] = [0, {} as ProgressNotes, startedAt, ""];
    const text = (width?: number): string => {
      const elapsedMs = now() - startedAt;
      return formatBar({ label, value, total, unit, notes, elapsedMs, startValue: startValue ?? 0 }, width);
    };
    // The last column stays empty: some terminals break the line there.
    const draw = (): void => {
      screen?.setStatus(text(screen.columns() - 1));
      writtenAt = now();
    };
    const line = (): void => {
      const current = text();
      if (current !== written) stream.write(`${current}\n`);
      [writtenAt, written] = [now(), current];
    };
    draw();
    return {
      update(newValue, newNotes) {
        startValue ??= newValue;
        value = newValue;
        if (newNotes !== undefined) notes = newNotes;
        const [show, everyMs] = screen === null ? [line, LINE_EVERY_MS] : [draw, DRAW_EVERY_MS];
        if (now() - writtenAt >= everyMs) show();
      },
      stop() {
        if (screen === null) {
          if (written !== "") line();
          return;
        }
        screen.setStatus("");
        stream.write(`${text(screen.columns() - 1)}\n`);
      },
    };
  };
}
