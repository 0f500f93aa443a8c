import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { processorMs } from "../../train/power/processor-ms.ts";
import { GraftError } from "../../errors.ts";
import { Random } from "../../random.ts";
import { readParquetRows } from "./parquet-rows.ts";

const GOLDEN = join(import.meta.dirname, "../../../test/golden/data/parquet");
const FILES = ["chats-none.parquet", "chats-snappy.parquet", "calls.parquet", "classes.parquet"].map((name) =>
  readFileSync(join(GOLDEN, name)),
);
/** Counts, sizes and runs as they are written: the largest of four and of five bytes, odd and even. */
const HUGE = [
  [0xff, 0xff, 0xff, 0x7f],
  [0xfe, 0xff, 0xff, 0x7f],
  [0xfe, 0xff, 0xff, 0xff, 0x07],
  [0xff, 0xff, 0xff, 0xff, 0x0f],
];
const [CASES, MOST_MS, MOST_BYTES] = [300, 2000, 2 ** 28];

async function numRowsOf(bytes: Uint8Array): Promise<number> {
  let num = 0;
  for await (const _ of readParquetRows(bytes, "x.parquet", { hasNoHeader: false })) num++;
  return num;
}

test("files whose counts and runs ask for gigabytes are refused soon, and in little memory", async () => {
  for (const bytes of FILES) assert.ok((await numRowsOf(bytes)) > 0);
  const random = new Random(1);
  let numRefused = 0;
  for (let i = 0; i < CASES; i++) {
    const bytes = Uint8Array.from(FILES[i % FILES.length]!);
    const end = bytes.length - 8 - new DataView(bytes.buffer).getUint32(bytes.length - 8, true);
    const at = 4 + random.integer(end - 9);
    const huge = HUGE[random.integer(HUGE.length)]!;
    bytes.set(huge, at);
    const before = process.memoryUsage().rss;
    const started = processorMs();
    await numRowsOf(bytes).catch((error: unknown) => {
      assert.ok(error instanceof GraftError, String(error));
      numRefused++;
    });
    const took = processorMs() - started;
    const what = `case ${i}, ${huge.join()} at ${at}`;
    assert.ok(took < MOST_MS, `${what}: ${took} ms`);
    assert.ok(process.memoryUsage().rss - before < MOST_BYTES, what);
  }
  assert.ok(numRefused > CASES / 10);
});
