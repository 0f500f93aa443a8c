/**
 * @file What is made of a base's tensors once for all that read it, as the codes that the adapters of many tasks share;
 * it is held as long as somebody uses it.
 */
import type { HostTensor } from "../runtime/host-tensor.ts";

/** Tensors that belong together, by name. */
export type TensorsByName = Readonly<Record<string, HostTensor>>;

/** The share of one user. */
export interface DerivedLease {
  /** Only to be read. */
  readonly tensors: TensorsByName;
  release(): void;
}

interface Entry {
  readonly tensors: Promise<TensorsByName>;
  numUsers: number;
}

export class DerivedTensors {
  readonly #entries = new Map<string, Entry>();

  /** Names of all that is held. */
  keys(): string[] {
    return [...this.#entries.keys()];
  }

  /** Lends what has been made under this key, or makes it; the last one to release it frees it. @throws as `make` */
  async acquire(key: string, make: () => TensorsByName | Promise<TensorsByName>): Promise<DerivedLease> {
    let entry = this.#entries.get(key);
    if (!entry) this.#entries.set(key, (entry = { tensors: Promise.resolve().then(make), numUsers: 0 }));
    entry.numUsers++;
    let isHeld = true;
    const release = (): void => {
      if (isHeld && --entry.numUsers === 0) this.#entries.delete(key);
      isHeld = false;
    };
    try {
      return { tensors: await entry.tensors, release };
    } catch (error) {
      release();
      throw error;
    }
  }
}
