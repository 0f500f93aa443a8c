/**
 * @file What parts of a model give others beside the residual stream in one pass, and the gradients that come back: a part of what
 * stands before the blocks for each of them, and keys and values of a block that later ones read too.
 *
 * Gradients of keys and values add up, in the programs of those that read them, until the block that gave them runs backward.
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

/** The part of a layer in [L, B, T, W]. */
function partOf({ shape: [, ...shape], data }: Floats, layer: number): Floats {
  const size = shape.reduce((product, n) => product * n, 1);
  return hostTensor("float32", shape, data.subarray(layer * size, (layer + 1) * size));
}

/** Gradients on one way back through the blocks. */
export class LinkGradients {
  readonly #pool: BufferPool;
  readonly #keys = new Map<number, KeyRows>();
  /** [L, B, T, W]; null: nothing has been written. */
  #layers: Floats | null = null;

  constructor(pool: BufferPool) {
    this.#pool = pool;
  }

  /** Those of a block's keys and values so far; null: none. */
  ofKeys(layer: number): KeyRows | null {
    return this.#keys.get(layer) ?? null;
  }

  /** Replaces those of a block's keys and values; null: it has run. */
  setKeys(layer: number, rows: KeyRows | null): void {
    const old = this.#keys.get(layer);
    if (old) this.#pool.release(old.key, old.value);
    if (rows) this.#keys.set(layer, rows);
    else this.#keys.delete(layer);
  }

  /** Memory for those of a layer's part; of layers that write none they are zero. */
  ofLayer(layer: number, like: Floats): Floats {
    if (!this.#layers) {
      this.#layers = this.#pool.acquire("float32", like.shape);
      this.#layers.data.fill(0);
    }
    return partOf(this.#layers, layer);
  }

  /** Those of all parts, zeros where none were written. */
  ofLayers(like: Floats): Floats {
    this.ofLayer(0, like);
    return this.#layers!;
  }

  /** A copy that goes another way. */
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
  /** [L, B, T, W]; null: the model has none. */
  #layers: Floats | null = null;
  /** On the way that is being gone. */
  gradients: LinkGradients;

  constructor(pool: BufferPool) {
    this.#pool = pool;
    this.gradients = new LinkGradients(pool);
  }

  /** What stands before the blocks gives each layer, [L, B, T, W]; null: nothing. */
  get layers(): Floats | null {
    return this.#layers;
  }

  /** Takes what stands before the blocks gives each layer. */
  giveLayers(layers: Floats): void {
    if (this.#layers) this.#pool.release(this.#layers);
    this.#layers = layers;
  }

  /** Takes the keys and values of a block. */
  giveKeys(layer: number, rows: KeyRows): void {
    const old = this.#keys.get(layer);
    if (old) this.#pool.release(old.key, old.value);
    this.#keys.set(layer, rows);
  }

  /** What a block reads of others, by the names of its inputs. */
  inputs(layer: number, { keysFrom }: Pick<ModelLayer, "keysFrom">): Record<string, Floats> {
    const rows = keysFrom === null ? undefined : this.#keys.get(keysFrom);
    return {
      ...(this.#layers && { [LAYER_INPUT]: partOf(this.#layers, layer) }),
      ...(rows && { [OTHER_KEY]: rows.key, [OTHER_VALUE]: rows.value }),
    };
  }

  /** Gives all back. */
  release(): void {
    this.gradients.release();
    if (this.#layers) this.#pool.release(this.#layers);
    this.#layers = null;
    this.#pool.release(...[...this.#keys.values()].flatMap(({ key, value }) => [key, value]));
    this.#keys.clear();
  }
}
