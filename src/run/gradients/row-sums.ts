/** @file Adds rows to rows of a table in memory; only the rows that change go through a program. */
import { Graph } from "../../graph/graph.ts";
import { addRows } from "../../graph/ops/rows/gather-scatter.ts";
import type { BufferPool } from "../../runtime/memory/buffer-pool.ts";
import type { Engine, Program } from "../../runtime/engine.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import { madeOnce, releaseMade } from "../../runtime/made-once.ts";

/** Some rows of a matrix. */
interface PickedRows {
  readonly data: Float32Array;
  readonly rows: readonly number[];
}

export class RowSums {
  readonly #engine: Engine;
  readonly #pool: BufferPool;
  /** Programs by the width of the table, compiled at first use. */
  readonly #programs = new Map<string, Promise<Program>>();

  constructor(engine: Engine, pool: BufferPool) {
    this.#engine = engine;
    this.#pool = pool;
  }

  /** Adds each row of `terms` to the table row with the number in `rows`; numbers may repeat. */
  async add(
    table: HostTensor<"float32">,
    rows: readonly number[],
    terms: PickedRows,
    width: number,
  ): Promise<void> {
    // The changed rows, padded to as many as there are numbers, so that the program's sizes depend only on the pass.
    const changed = [...new Set(rows)];
    const placeOf = new Map(changed.map((row, i) => [row, i]));
    const before = this.#pool.acquire("float32", [rows.length, width]);
    const sum = this.#pool.acquire("float32", [rows.length, width]);
    const added = this.#pool.acquire("float32", [rows.length, width]);
    const numbers = this.#pool.acquire("int64", [rows.length]);
    copyRows({ data: table.data, rows: changed }, before.data, width);
    copyRows(terms, added.data, width);
    for (const [i, row] of rows.entries()) numbers.data[i] = BigInt(placeOf.get(row)!);
    const program = await this.#program(width);
    await program.run({ table: before, x: added, rows: numbers }, { sum });
    for (const [i, row] of changed.entries()) {
      table.data.set(sum.data.subarray(i * width, (i + 1) * width), row * width);
    }
    this.#pool.release(before, sum, added, numbers);
  }

  #program(width: number): Promise<Program> {
    return madeOnce(this.#programs, String(width), () => {
      const graph = new Graph();
      const table = graph.input("table", "float32", ["M", width]);
      const x = graph.input("x", "float32", ["M", width]);
      const rows = graph.input("rows", "int64", ["M"]);
      const inputs = { table, x, rows };
      return this.#engine.compile({ name: "add-rows", inputs, outputs: { sum: addRows(table, x, rows) } });
    });
  }

  /** Frees the programs. */
  release(): Promise<void> {
    return releaseMade(this.#programs);
  }
}

/** Copies picked rows next to each other. */
function copyRows({ data, rows }: PickedRows, to: Float32Array, width: number): void {
  for (const [i, row] of rows.entries()) to.set(data.subarray(row * width, (row + 1) * width), i * width);
}
