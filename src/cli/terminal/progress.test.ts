import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";

import { createProgress, formatBar } from "./progress.ts";

test("formatBar() shows counts, rate, notes and the time left", () => {
  const bar = {
    label: "train",
    value: 5,
    total: 20,
    unit: "steps",
    notes: { loss: "2.31" },
    elapsedMs: 10_000,
  } as const;
  assert.equal(formatBar({ ...bar, startValue: 0 }), "train  ████░░░░░░░░░░░░  5/20  loss 2.31  30 s left");
  const bytes = { ...bar, unit: "bytes", value: 3e6, total: 4e6, notes: {}, startValue: 1e6 } as const;
  assert.equal(formatBar(bytes), "train  ████████████░░░░  3.0 MB/4.0 MB  200.0 KB/s  5 s left");
  assert.equal(formatBar({ ...bytes, total: null }), "train  3.0 MB  200.0 KB/s");
});

test("without a terminal a bar is a plain line now and then, and a short run writes nothing", () => {
  const stream = new PassThrough();
  let nowMs = 0;
  const progress = createProgress({ stream, screen: null, now: () => nowMs });
  const short = progress("short", 2, "steps");
  short.update(1);
  short.stop();
  assert.equal(stream.read(), null);
  const long = progress("long", 3000, "steps");
  for (let i = 0; i <= 300; i++, nowMs += 100) long.update(i);
  long.stop();
  const lines = String(stream.read()).trim().split("\n");
  assert.equal(lines.length, 4);
  assert.match(lines[0] ?? "", /^long .* 100\/3000 /);
});

test("formatBar() leaves notes out and shortens the bar before it gives up what is left", () => {
  const bar = {
    label: "training",
    value: 5,
    total: 20,
    unit: "steps",
    notes: { loss: "2.3100", speed: "1200 tokens/s", memory: "480.0 MB" },
    elapsedMs: 10_000,
    startValue: 0,
  } as const;
  assert.deepEqual(
    [100, 80, 60, 40, 20, 12, 3].map((width) => formatBar(bar, width)),
    [
      "training  ████░░░░░░░░░░░░  5/20  loss 2.3100  speed 1200 tokens/s  memory 480.0 MB  30 s left",
      "training  ████░░░░░░░░░░░░  5/20  loss 2.3100  speed 1200 tokens/s  30 s left",
      "training  ████░░░░░░░░░░░░  5/20  loss 2.3100  30 s left",
      "training  ██░░░░░░  5/20  30 s left",
      "5/20  30 s left",
      "5/20",
      "5/2",
    ],
  );
});

test("a name of a file in a bar cannot act on a terminal, nor break its line", () => {
  const stream = new PassThrough();
  const screen = { columns: () => 120, setStatus: () => {}, write: () => {} };
  const bar = createProgress({ stream, screen, now: () => 0 })(
    "reading \u001B]0;x\u0007\n\u202Ea",
    null,
    "steps",
  );
  bar.stop();
  assert.equal(String(stream.read()), "reading \\u{1b}]0;x\\u{7} \\u{202e}a  0\n");
});
