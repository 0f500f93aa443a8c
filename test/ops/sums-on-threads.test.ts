/** @file Sums of rows that come many times are whole however many threads add them up. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Graph } from "../../src/graph/graph.ts";
import { addRows, scatterAddRows } from "../../src/graph/ops/rows/gather-scatter.ts";
import { sumRepeats } from "../../src/graph/ops/rows/repeat-rows.ts";
import { createNativeEngine } from "../../src/runtime/ort/ort-native.ts";
import { createNodeEngine } from "../../src/runtime/ort/ort-node.ts";
import { zeros } from "../../src/runtime/host-tensor.ts";

const NUM_ROWS = 64;
const WIDTH = 64;
const REPEATS = 64;

for (const create of [createNativeEngine, createNodeEngine]) {
  const engine = create({ threads: 4 });
  test(`${engine.name}: ${REPEATS} ones of each row add up to ${REPEATS}, on four threads, ten times`, async () => {
    const graph = new Graph();
    const table = graph.input("table", "float32", [NUM_ROWS, WIDTH]);
    const x = graph.input("x", "float32", [NUM_ROWS * REPEATS, WIDTH]);
    const rows = graph.input("rows", "int64", [NUM_ROWS * REPEATS]);
    const program = await engine.compile({
      name: "sums",
      inputs: { table, x, rows },
      outputs: {
        added: addRows(table, x, rows),
        scattered: scatterAddRows(x, rows, table),
        repeated: sumRepeats(x, rows, table, REPEATS),
      },
    });
    const feeds = {
      table: zeros("float32", [NUM_ROWS, WIDTH]),
      x: zeros("float32", [NUM_ROWS * REPEATS, WIDTH]),
      rows: zeros("int64", [NUM_ROWS * REPEATS]),
    };
    feeds.x.data.fill(1);
    for (let i = 0; i < feeds.rows.data.length; i++) feeds.rows.data[i] = BigInt((i * 5) % NUM_ROWS);
    for (let run = 0; run < 10; run++) {
      const [added, scattered, repeated] = Array.from({ length: 3 }, () =>
        zeros("float32", [NUM_ROWS, WIDTH]),
      );
      await program.run(feeds, { added: added!, scattered: scattered!, repeated: repeated! });
      for (const sums of [added!, scattered!, repeated!])
        assert.deepEqual([...new Set(sums.data)], [REPEATS], `run ${run}`);
    }
    await program.release();
  });
}
