/**
 * @file What parts of a model give each other beside the residual stream in one pass, and the gradients that come back: what the
 * stem gives each layer, and keys and values of a block that later ones also read.
 *
 * The programs of the blocks that read keys and values add up their gradients, until the block that gave them runs backward.
 */
import type { ModelLayer } from "../models/model-layer.ts";
import { LAYER_INPUT, OTHER_KEY, OTHER_VALUE } from "../models/graphs/part-links.ts";
import { type HostTensor, hostTensor } from "../runtime/host-tensor.ts";
import type { BufferPool } from "../runtime/memory/buffer-pool.ts";

type Floats = HostTensor<"float32">;

/** Keys and values of a block, or gradients of both, [B, T, K·E] each. */
export interface KeyRows {
  readonly key: Floats;
  readonly value: Floats;
}

/** The part of one layer in [L, B, T, W]. */
function partOf({ shape: [, ...shape], data }: Floats, layer: number): Floats {
  const size = shape.reduce((product, n) => product * n, 1);
  return hostTensor("float32", shape, data.subarray(layer * size, (layer + 1) * size));
}

/** Gradients of one backward pass through the blocks. */
export class LinkGradients {
  readonly #pool: BufferPool;
  readonly #keys = new Map<number, KeyRows>();
  /** [L, B, T, W]; null: nothing has been written. */
  #layers: Floats | null = null;

  constructor(pool: BufferPool) {
    this.#pool = pool;
  }

  /** Gradients of a block's keys and values so far; null: none. */
  ofKeys(layer: number): KeyRows | null {
    return this.#keys.get(layer) ?? null;
  }

  /** Replaces the gradients of a block's keys and values; null: removes them, since the block has run. */
  setKeys(layer: number, rows: KeyRows | null): void {
    const old = this.#keys.get(layer);
    if (old) this.#pool.release(old.key, old.value);
    if (rows) this.#keys.set(layer, rows);
    else this.#keys.delete(layer);
  }

  /** Memory for the gradient of a layer's part; it stays zero for layers that write none. */
  ofLayer(layer: number, like: Floats): Floats {
    if (!this.#layers) {
      this.#layers = this.#pool.acquire("float32", like.shape);
      this.#layers.data.fill(0);
    }
    return partOf(this.#layers, layer);
  }

  /** The gradients of all parts, zeros where none were written. */
  ofLayers(like: Floats): Floats {
    this.ofLayer(0, like);
    return this.#layers!;
  }

  /** Makes a copy for another backward pass. */
  fork(): LinkGradients {
    const copy = (tensor: Floats): Floats => {
      const made = this.#pool.acquire("float32", tensor.shape);
      made.data.set(tensor.data);
      return made;
    };
    const forked = new LinkGradients(this.#pool);
    for (const [layer, { key, value }] of this.#keys)
      forked.setKeys(layer, { key: copy(key), value: copy(value) });
    if (this.#layers) forked.#layers = copy(this.#layers);
    return forked;
  }

  release(): void {
    for (const layer of this.#keys.keys()) this.setKeys(layer, null);
    if (this.#layers) this.#pool.release(this.#layers);
    this.#layers = null;
  }
}

export class Links {
  readonly #pool: BufferPool;
  readonly #keys = new Map<number, KeyRows>();
  /** What the stem gives each layer, [L, B, T, W]; null: nothing. */
  #layers: Floats | null = null;
  /** Gradients of the current backward pass. */
  gradients: LinkGradients;

  constructor(pool: BufferPool) {
    this.#pool = pool;
    this.gradients = new LinkGradients(pool);
  }

  /** What the stem gives each layer, [L, B, T, W]; null: nothing. */
  get layers(): Floats | null {
    return this.#layers;
  }

  /** Takes ownership of what the stem gives each layer. */
  giveLayers(layers: Floats): void {
    if (this.#layers) this.#pool.release(this.#layers);
    this.#layers = layers;
  }

  /** Takes ownership of the keys and values of a block. */
  giveKeys(layer: number, rows: KeyRows): void {
    const old = this.#keys.get(layer);
    if (old) this.#pool.release(old.key, old.value);
    this.#keys.set(layer, rows);
  }

  /** What a block reads from other parts, by input name. */
  inputs(layer: number, { keysFrom }: Pick<ModelLayer, "keysFrom">): Record<string, Floats> {
    const rows = keysFrom === null ? undefined : this.#keys.get(keysFrom);
    return {
      ...(this.#layers && { [LAYER_INPUT]: partOf(this.#layers, layer) }),
      ...(rows && { [OTHER_KEY]: rows.key, [OTHER_VALUE]: rows.value }),
    };
  }

  /** Gives everything back to the pool. */
  release(): void {
    this.gradients.release();
    if (this.#layers) this.#pool.release(this.#layers);
    this.#layers = null;
    this.#pool.release(...[...this.#keys.values()].flatMap(({ key, value }) => [key, value]));
    this.#keys.clear();
  }
}
