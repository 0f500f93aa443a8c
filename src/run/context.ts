/**
 * @file What the programs of a pass read besides activations and weights, made when first requested.
 *
 * A position attends to the positions of its own example (in a causal model: up to itself), so packed examples never attend to
 * each other; padding attends to padding, which keeps its softmax finite.
 */
import { type Bindings, evaluateShape } from "../graph/shape.ts";
import type { PartGraph } from "../models/graphs/part-graph.ts";
import type { PassFacts, PositionTable } from "../nn/pass.ts";
import type { BufferPool } from "../runtime/memory/buffer-pool.ts";
import { Links } from "./links.ts";
import { type HostTensor, hostTensor } from "../runtime/host-tensor.ts";

/** Tables with a row for each position, shared by all passes; they grow with the longest one. */
export class PassTables {
  readonly #made = new Map<string, HostTensor<"float32">>();

  /** Returns a table with at least `minRows` rows, which stays owned by this object. */
  get(table: PositionTable, minRows: number): HostTensor<"float32"> {
    const known = this.#made.get(table.name);
    const numKnown = known?.shape[0] ?? 0;
    if (known && numKnown >= minRows) return known;
    const numRows = Math.max(minRows, 2 * numKnown);
    const made = hostTensor("float32", [numRows, table.width], table.rows(numRows));
    this.#made.set(table.name, made);
    return made;
  }
}

/** The tensors of one pass, taken from a pool; whoever makes the context releases it. */
export class PassContext {
  readonly facts: PassFacts;
  /** B and T; P, the number of earlier tokens in a cache. */
  readonly bindings: Bindings;
  /** What parts of the model give each other beside the stream. */
  readonly links: Links;
  readonly #pool: BufferPool;
  readonly #tables: PassTables;
  readonly #numPositions: number;
  readonly #made = new Map<string, HostTensor>();
  /** Tables requested so far, which many blocks share. */
  readonly #rows = new Map<string, HostTensor<"float32">>();

  constructor(facts: PassFacts, pool: BufferPool, tables: PassTables) {
    const { numRows, length, keys } = facts;
    this.facts = facts;
    this.links = new Links(pool);
    this.#pool = pool;
    this.#tables = tables;
    const numKeys = keys ? keys.positions.length / numRows : length;
    this.bindings = { B: numRows, T: length, P: numKeys - length };
    this.#numPositions = Math.max(1 + largest(facts.positions), ...(facts.textLengths ?? []));
  }

  /** What a part reads that belongs to the pass, by input name; valid until `release`. */
  tensors({ passInputs, tables }: Pick<PartGraph, "passInputs" | "tables">): Record<string, HostTensor> {
    const tensors: Record<string, HostTensor> = {};
    for (const [name, { table }] of tables) {
      let known = this.#rows.get(name);
      // The operation requires at least as many rows as the pass has tokens, whatever their positions.
      const minRows = Math.max(table.numRows(this.#numPositions), this.facts.length);
      if (!known) this.#rows.set(name, (known = this.#tables.get(table, minRows)));
      tensors[name] = known;
    }
    for (const [name, { input }] of passInputs) {
      let made = this.#made.get(name);
      if (!made) {
        made = this.#pool.acquire(input.dtype, evaluateShape(input.shape, this.bindings));
        input.fill(this.facts, made.data);
        this.#made.set(name, made);
      }
      tensors[name] = made;
    }
    return tensors;
  }

  /** Gives all tensors back to the pool. */
  release(): void {
    this.links.release();
    this.#pool.release(...this.#made.values());
    this.#made.clear();
  }
}

function largest(positions: BigInt64Array): number {
  let most = 0n;
  for (const position of positions) if (position > most) most = position;
  return Number(most);
}
