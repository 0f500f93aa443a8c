/** @file The log as lines of JSON, one for each event. */
import { type LogFormat, bytesOfText, wholeLines } from "./log-format.ts";

export const jsonl: LogFormat = {
  name: "jsonl",
  summary: "a line of JSON for each event",
  file: "log.jsonl",
  head: () => new Uint8Array(0),
  cut(log, step) {
    const kept = wholeLines(log).filter((line) => stepOf(line) <= step);
    return bytesOfText(kept.map((line) => `${line}\n`).join(""));
  },
  open: (log) => (entry) => log.append(bytesOfText(`${JSON.stringify(entry)}\n`)),
};

/** The step of a line; one that cannot be read counts as the last. */
function stepOf(line: string): number {
  try {
    return (JSON.parse(line) as { step?: number }).step ?? 0;
  } catch {
    return Infinity;
  }
}
