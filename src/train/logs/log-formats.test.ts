/** @file Every form of a log: what it holds of events, read back, and where it is cut. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parse } from "csv-parse/sync";
import protobuf from "protobufjs/light.js";
import { crc32c, maskedCrc32c } from "./crc32c.ts";
import { csv } from "./csv.ts";
import { jsonl } from "./jsonl.ts";
import type { LogEntry, LogFile, LogFormat } from "./log-format.ts";
import { LOG_FORMATS } from "./log-formats.ts";
import { readRecords, tensorboard } from "./tensorboard.ts";
import { jsonLines } from "../../../test/files/read-json.ts";

const EVENTS: readonly Readonly<Record<string, string | number | null>>[] = [
  { event: "eval", step: 0, loss: 2.5 },
  { event: "step", step: 1, total_steps: 3, loss: 2.25, "rewards/margins": 0.5 },
  {
    event: "step",
    step: 2,
    total_steps: 3,
    loss: 1.5,
    "rewards/margins": -0.5,
    state: 'a, "b"\nc',
    none: null,
  },
  { event: "eval", step: 2, loss: 1.75, accuracy: 0.25 },
  { event: "step", step: 3, total_steps: 3, loss: 1.25, "rewards/margins": 1 },
];

/** An event as TensorBoard reads it. */
const EVENT = protobuf.Root.fromJSON({
  nested: {
    Event: {
      fields: {
        wallTime: { type: "double", id: 1 },
        step: { type: "int64", id: 2 },
        fileVersion: { type: "string", id: 3 },
        summary: { type: "Summary", id: 5 },
      },
    },
    Summary: { fields: { value: { type: "SummaryValue", id: 1, rule: "repeated" } } },
    SummaryValue: { fields: { tag: { type: "string", id: 1 }, simpleValue: { type: "float", id: 2 } } },
  },
}).lookupType("Event");

const BEGUN_MS = 1_700_000_000_250;

/** A file in memory. */
function memoryLog(): LogFile & { bytes(): Uint8Array } {
  let held = new Uint8Array(0);
  return {
    bytes: () => held,
    read: async () => held,
    append: async (bytes) => void (held = new Uint8Array([...held, ...bytes])),
    replace: async (bytes) => void (held = bytes.slice()),
  };
}

async function logOf(
  format: LogFormat,
  events: readonly LogEntry[],
  start = format.head(BEGUN_MS),
): Promise<Uint8Array> {
  const log = memoryLog();
  await log.append(start);
  const write = format.open(log, () => 1_700_000_000_500);
  for (const event of events) await write(event);
  return log.bytes();
}

for (const format of LOG_FORMATS) {
  describe(`log as ${format.name}`, () => {
    test("cut after a step and gone on with, it is the log of a run that never stopped", async () => {
      const whole = await logOf(format, EVENTS);
      for (const [numKept, event] of EVENTS.entries()) {
        const kept = EVENTS.slice(0, numKept).map(({ event, step }) => `${event} ${step}`);
        const cut = format.cut(whole, (event, step) => kept.includes(`${event} ${step}`));
        const rest = EVENTS.slice(numKept);
        assert.deepEqual(await logOf(format, rest, cut), whole, `before ${event["event"]} ${event["step"]}`);
      }
    });

    test("an event that was half written is taken out, wherever it was cut off", async () => {
      const before = await logOf(format, EVENTS.slice(0, 3));
      const whole = await logOf(format, EVENTS.slice(0, 4));
      // A new number makes the table of a CSV anew: only what is appended can be half there.
      const start = format === csv ? whole.lastIndexOf(10, whole.length - 2) + 1 : before.length;
      const expected = format === csv ? whole.slice(0, start) : before;
      assert.ok(start < whole.length - 5);
      for (let end = start; end < whole.length; end++)
        assert.deepEqual(
          format.cut(whole.slice(0, end), () => true),
          expected,
          `${end} of ${whole.length} bytes`,
        );
    });
  });
}

test("lines of JSON are the events", async () => {
  assert.deepEqual(jsonLines(new TextDecoder().decode(await logOf(jsonl, EVENTS))), EVENTS);
});

test("a CSV reader finds every number in the column of its name, text in one line, and nothing where there was none", async () => {
  const rows = parse(Buffer.from(await logOf(csv, EVENTS)), { columns: true }) as Record<string, string>[];
  const columns = [...new Set(EVENTS.flatMap((event) => Object.keys(event)))];
  assert.deepEqual(Object.keys(rows[0]!), columns);
  for (const [i, event] of EVENTS.entries()) {
    const cells = columns.map((name) => String(event[name] ?? "").replace("\n", " "));
    assert.deepEqual(Object.values(rows[i]!), cells);
  }
});

test("records of an event file hold each number under the name of its group", async () => {
  const records = [...readRecords(await logOf(tensorboard, EVENTS))].map(({ data }) =>
    EVENT.toObject(EVENT.decode(data), { longs: Number }),
  );
  assert.deepEqual(records[0], { wallTime: BEGUN_MS / 1000, fileVersion: "brain.Event:2" });
  assert.deepEqual(records[2], {
    wallTime: 1_700_000_000.5,
    step: 1,
    summary: {
      value: [
        { tag: "train/loss", simpleValue: 2.25 },
        { tag: "train/rewards/margins", simpleValue: 0.5 },
      ],
    },
  });
  assert.deepEqual(records[4]!["summary"], {
    value: [
      { tag: "eval/loss", simpleValue: 1.75 },
      { tag: "eval/accuracy", simpleValue: 0.25 },
    ],
  });
});

test("checksums are those of RFC 3720, masked as TensorFlow masks them", () => {
  assert.equal(crc32c(new Uint8Array(32)), 0x8a9136aa);
  assert.equal(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8ab43);
  assert.equal(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i)), 0x46dd794e);
  assert.equal(crc32c(new TextEncoder().encode("123456789")), 0xe3069283);
  // As TensorBoard masks it.
  assert.equal(maskedCrc32c(Uint8Array.of(24, 0, 0, 0, 0, 0, 0, 0)), 0x224b7fa3);
});
