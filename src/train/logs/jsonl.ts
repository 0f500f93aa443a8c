/** @file The log as lines of JSON, one for each event. */
import { type LogFormat, bytesOfText, wholeLines } from "./log-format.ts";

export const jsonl: LogFormat = {
  name: "jsonl",
  summary: "JSON Lines",
  file: "log.jsonl",
  head: () => new Uint8Array(0),
  cut(log, isKept) {
    const kept = wholeLines(log).filter((line) => {
      const { event, step } = placeOf(line);
      return isKept(event, step);
    });
    return bytesOfText(kept.map((line) => `${line}\n`).join(""));
  },
  open: (log) => (entry) => log.append(bytesOfText(`${JSON.stringify(entry)}\n`)),
};

/** The event and step of a line; a line that cannot be read counts as after all steps, so that it is cut. */
function placeOf(line: string): { readonly event: string; readonly step: number } {
  try {
    return { event: "", step: 0, ...(JSON.parse(line) as object) };
  } catch {
    return { event: "", step: Infinity };
  }
}
