/** @file Parquet files of every codec; half of the cases are damaged where their columns are described. */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { readParquetRows } from "../../../src/data/formats/parquet-rows.ts";
import type { FuzzFormat } from "../format.ts";
import { mutateBytes, pick } from "../mutate.ts";

const GOLDEN = join(import.meta.dirname, "../../golden/data/parquet");
/** Behind the description: its length, and four letters. */
const TAIL_BYTES = 8;

export const parquet: FuzzFormat = {
  name: "parquet",
  numCases: 600,
  prepare() {
    const files = readdirSync(GOLDEN)
      .toSorted()
      .map((name) => readFileSync(join(GOLDEN, name)));
    return {
      make(random) {
        const bytes = pick(random, files);
        if (random.integer(2) === 0) return mutateBytes(random, bytes);
        const end = bytes.length - TAIL_BYTES;
        const start = end - bytes.readUInt32LE(end);
        const damaged = Uint8Array.from(bytes);
        for (let left = 1 + random.integer(3); left > 0; left--) {
          damaged[start + random.integer(end - start)] = random.integer(256);
        }
        return damaged;
      },
      async read(input) {
        const rows = [];
        try {
          for await (const row of readParquetRows(input as Uint8Array, "x.parquet", { hasNoHeader: false }))
            rows.push(row);
        } finally {
          // Columns that nobody waits for say now that they failed.
          await setImmediate();
        }
        return rows;
      },
    };
  },
};
