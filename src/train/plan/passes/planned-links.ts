/** @file Gradients of what blocks share, in one backward pass of a plan. It mirrors `LinkGradients` of `run/links`. */
import type { TensorType } from "../../../graph/graph.ts";
import type { Bindings } from "../../../graph/shape.ts";
import type { PlannedBlock, PlannedPool } from "./planned-pool.ts";

export class PlannedLinks {
  /** Gradients of keys and values, by the block that computed them. */
  readonly #keys = new Map<number, readonly PlannedBlock[]>();
  #layers: PlannedBlock | null = null;

  hasKeys(layer: number): boolean {
    return this.#keys.has(layer);
  }

  setKeys(pool: PlannedPool, layer: number, rows: readonly PlannedBlock[] | null): void {
    pool.release(...(this.#keys.get(layer) ?? []));
    if (rows) this.#keys.set(layer, rows);
    else this.#keys.delete(layer);
  }

  /** Lends the gradients of the input that all layers share, once. */
  needLayers(pool: PlannedPool, type: TensorType, bindings: Bindings): void {
    this.#layers ??= pool.acquire(type, bindings);
  }

  fork(pool: PlannedPool): PlannedLinks {
    const copy = ({ lentBytes }: PlannedBlock): PlannedBlock => pool.lend(lentBytes);
    const forked = new PlannedLinks();
    for (const [layer, rows] of this.#keys) forked.setKeys(pool, layer, rows.map(copy));
    if (this.#layers) forked.#layers = copy(this.#layers);
    return forked;
  }

  release(pool: PlannedPool): void {
    for (const layer of this.#keys.keys()) this.setKeys(pool, layer, null);
    if (this.#layers) pool.release(this.#layers);
    this.#layers = null;
  }
}
