/** @file Contract of a form in which the log of a run is kept: one file of its folder, which grows event by event. */

/** An event as a log has it: names and values. */
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
  /** Reads all of it; null: it is not there. */
  read(): Promise<Uint8Array | null>;
  append(bytes: Uint8Array): Promise<void>;
  /** Writes it anew, whole or not at all. */
  replace(bytes: Uint8Array): Promise<void>;
}

/** Whether an event of a kind and step stays in a log. */
type IsKept = (event: string, step: number) => boolean;

export interface LogFormat {
  readonly name: string;
  /** What it is, in the help of `--log`. */
  readonly summary: string;
  readonly file: string;
  /** What stands in a log without events. `nowMs`: the time of day. */
  head(nowMs: number): Uint8Array;
  /** The log without the events that are not kept, and without one that was half written; empty where not even its head is whole. */
  cut(log: Uint8Array, isKept: IsKept): Uint8Array;
  /** Makes what writes events to a log that is empty or was cut. `nowMs`: the time of day. */
  open(log: LogFile, nowMs: () => number): (entry: LogEntry) => Promise<void>;
}

const ENCODER = new TextEncoder();

/** Bytes of a text. */
export function bytesOfText(text: string): Uint8Array {
  return ENCODER.encode(text);
}

/** The whole lines of a log of lines. */
export function wholeLines(log: Uint8Array): string[] {
  return new TextDecoder().decode(log).split("\n").slice(0, -1);
}
