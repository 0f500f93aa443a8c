/** @file Contract of a log format: one file in the run's folder, which grows event by event. */

/** An event in a log: names and values. */
export type LogEntry = Readonly<Record<string, unknown>>;

/** The entries of one kind of event. */
export function entriesOf(history: readonly LogEntry[], event: string): readonly LogEntry[] {
  return history.filter((entry) => entry["event"] === event);
}

/** The loss of a step or an evaluation; NaN where JSON has kept it as null. */
export function lossOf({ loss }: LogEntry): number {
  return loss === null ? NaN : Number(loss);
}

export interface LogFile {
  /** Reads all of it; null: it does not exist. */
  read(): Promise<Uint8Array | null>;
  append(bytes: Uint8Array): Promise<void>;
  /** Replaces its content atomically. */
  replace(bytes: Uint8Array): Promise<void>;
}

/** Whether an event of a kind and step stays in a log. */
type IsKept = (event: string, step: number) => boolean;

export interface LogFormat {
  readonly name: string;
  /** Its description in the help of `--log`. */
  readonly summary: string;
  readonly file: string;
  /** The content of a log without events. `nowMs`: the time of day. */
  head(nowMs: number): Uint8Array;
  /** The log without half-written events and those not kept (some formats cut all after the first such); empty if its head is incomplete. */
  cut(log: Uint8Array, isKept: IsKept): Uint8Array;
  /** Returns a function that appends events to a log that is empty or was cut. `nowMs`: the time of day. */
  open(log: LogFile, nowMs: () => number): (entry: LogEntry) => Promise<void>;
}

const ENCODER = new TextEncoder();

export function bytesOfText(text: string): Uint8Array {
  return ENCODER.encode(text);
}

/** The complete lines of a text log. */
export function wholeLines(log: Uint8Array): string[] {
  return new TextDecoder().decode(log).split("\n").slice(0, -1);
}
