/** @file How fast are stored tensors read into planes, and dequantized to float32 when a block is used? */
import { storedBytes } from "../src/quant/storage.ts";
import { GGML_NAMES, STORAGES } from "../src/quant/storages.ts";
import { dequantizeFrom, unpackStored } from "../src/quant/stored-tensor.ts";
import { Random } from "../src/random.ts";
import { randomTensor } from "../test/tiny/random-blocks.ts";
import { defineBenchmark, type Json } from "./bench.ts";
import { rounded } from "./harness/statistics.ts";

/** Rows that are read one by one, as for the tokens of a small batch. */
const NUM_LOOKED_UP = 512;

export const benchmark = defineBenchmark({
  question: "How many MB of a file are read into planes, and how many weights become float32, in a second?",
  flags: {
    rows: { value: 1024, help: "rows of the matrix" },
    columns: { value: 4096, help: "columns of the matrix" },
    repeats: { value: 20, help: "runs, of which the fastest counts" },
  },
  async run({ rows: numRows, columns, repeats }, { say }) {
    const shape = [numRows, columns];
    const into = new Float32Array(numRows * columns);
    const indexes = Array.from({ length: NUM_LOOKED_UP }, (_, i) => (i * 31) % numRows);
    const oneRow = new Float32Array(columns);
    const table: string[][] = [];
    const results: Record<string, Json> = {};
    for (const name of GGML_NAMES.filter((kind) => STORAGES[kind].blockSize > 1)) {
      say(name);
      const { bytes } = randomTensor("w", name, shape, 1, new Random(1));
      const stored = unpackStored(name, bytes, shape);
      const megabytes = storedBytes(STORAGES[name], shape) / 1e6;
      const unpackMs = fastest(repeats, () => unpackStored(name, bytes, shape));
      const wholeMs = fastest(repeats, () => dequantizeFrom(stored, 0, into));
      const rowsMs = fastest(repeats, () => {
        for (const index of indexes) dequantizeFrom(stored, index * columns, oneRow);
      });
      const result = {
        unpack_mb_per_s: rounded((1000 * megabytes) / unpackMs, 0),
        dequantize_mb_per_s: rounded((1000 * megabytes) / wholeMs, 0),
        million_weights_per_s: rounded(into.length / 1000 / wholeMs, 0),
        million_weights_of_rows_per_s: rounded((NUM_LOOKED_UP * columns) / 1000 / rowsMs, 0),
      };
      results[name] = result;
      table.push([name, ...Object.values(result).map(String)]);
    }
    return await Promise.resolve({
      table: {
        head: ["kind", "unpack MB/s", "dequantize MB/s", "million weights/s", "the same, by rows"],
        rows: table,
      },
      results,
    });
  },
});

function fastest(repeats: number, run: () => unknown): number {
  const times = Array.from({ length: repeats }, () => {
    const start = performance.now();
    run();
    return performance.now() - start;
  });
  return Math.min(...times);
}
