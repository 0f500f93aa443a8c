/**
 * @file The log as a TensorBoard event file. A record is a length, its checksum, a protobuf Event, its checksum. The fields below are
 * those of the public schema (event.proto, summary.proto) that graft writes.
 */
import { encodeMessage, type MessageFields, readInteger } from "../../graph/protobuf-writer.ts";
import { type LogEntry, type LogFormat } from "./log-format.ts";
import { maskedCrc32c } from "./crc32c.ts";

const SCHEMA: Readonly<Record<string, MessageFields>> = {
  Event: { wallTime: ["double", 1], step: ["int64", 2], fileVersion: ["string", 3], summary: ["Summary", 5] },
  Summary: { value: ["SummaryValue", 1, "repeated"] },
  SummaryValue: { tag: ["string", 1], simpleValue: ["float", 2] },
};
/** Field number of an event's step in the schema. */
const STEP = 2;
/** The version by which readers recognise an event file. */
const VERSION = "brain.Event:2";
/** Before the event: its length and a checksum; after it: a checksum. */
const [HEAD_BYTES, LENGTH_BYTES, SUM_BYTES] = [12, 8, 4];
/** Event → group in the names of its numbers. */
const GROUPS: Readonly<Record<string, string>> = { step: "train", eval: "eval" };
/** Keys of an event that are not drawn as curves. */
const NO_NUMBERS: ReadonlySet<string> = new Set(["step", "total_steps"]);

export const tensorboard: LogFormat = {
  name: "tensorboard",
  summary: "a TensorBoard event file",
  // TensorBoard reads every file with "tfevents" in its name.
  file: "events.out.tfevents.graft",
  // TensorBoard orders runs by the time of their first event.
  head: (nowMs) => recordOf({ wallTime: nowMs / 1000, fileVersion: VERSION }),
  cut(log, isKept) {
    let end = 0;
    for (const { data, endAt } of readRecords(log)) {
      const step = readInteger(data, STEP) ?? 0;
      if (end > 0 && !isKept(eventIn(data), step)) break;
      end = endAt;
    }
    return log.slice(0, end);
  },
  open: (log, nowMs) => (entry) => {
    const value = scalarsOf(entry);
    return log.append(recordOf({ wallTime: nowMs() / 1000, step: entry["step"], summary: { value } }));
  },
};

function scalarsOf(entry: LogEntry): { readonly tag: string; readonly simpleValue: number }[] {
  const group = GROUPS[String(entry["event"])] ?? String(entry["event"]);
  return Object.entries(entry).flatMap(([name, value]) =>
    typeof value === "number" && !NO_NUMBERS.has(name)
      ? [{ tag: `${group}/${name}`, simpleValue: value }]
      : [],
  );
}

/** The event of a record, recognised by the group in the names of its numbers. */
function eventIn(record: Uint8Array): string {
  const text = new TextDecoder("latin1").decode(record);
  return Object.keys(GROUPS).find((event) => text.includes(`${GROUPS[event]}/`)) ?? "";
}

function recordOf(event: LogEntry): Uint8Array {
  const data = encodeMessage(SCHEMA, "Event", event);
  const record = new Uint8Array(HEAD_BYTES + data.length + SUM_BYTES);
  const view = new DataView(record.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(LENGTH_BYTES, maskedCrc32c(record.subarray(0, LENGTH_BYTES)), true);
  record.set(data, HEAD_BYTES);
  view.setUint32(HEAD_BYTES + data.length, maskedCrc32c(data), true);
  return record;
}

/** Reads records up to the first incomplete one: the encoded event of each, and where the record ends. */
export function* readRecords(
  log: Uint8Array,
): Generator<{ readonly data: Uint8Array; readonly endAt: number }> {
  const view = new DataView(log.buffer, log.byteOffset, log.byteLength);
  for (let at = 0; at + HEAD_BYTES + SUM_BYTES <= log.length;) {
    const length = Number(view.getBigUint64(at, true));
    const data = log.subarray(at + HEAD_BYTES, at + HEAD_BYTES + length);
    const endAt = at + HEAD_BYTES + length + SUM_BYTES;
    if (endAt > log.length) return;
    if (view.getUint32(at + LENGTH_BYTES, true) !== maskedCrc32c(log.subarray(at, at + LENGTH_BYTES))) return;
    if (view.getUint32(endAt - SUM_BYTES, true) !== maskedCrc32c(data)) return;
    yield { data, endAt };
    at = endAt;
  }
}
