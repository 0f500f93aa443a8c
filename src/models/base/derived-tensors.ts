/**
 * @file What is made of a base's tensors once for all that read it, as the codes that the adapters of many tasks share;
 * it is held as long as somebody uses it.
 */
import type { HostTensor, Tensors } from "../../runtime/host-tensor.ts";

/** The share of one user. */
export interface DerivedLease {
  /** Only to be read. */
  readonly tensors: Tensors;
  release(): void;
}

interface Entry {
  readonly tensors: Promise<Tensors>;
  numUsers: number;
}

export class DerivedTensors {
  readonly #entries = new Map<string, Entry>();
  /** Other forms of what is held, by name. */
  readonly #forms = new WeakMap<HostTensor, Map<string, HostTensor>>();
  readonly #listeners = new WeakMap<HostTensor, Set<() => void>>();

  /** Names of all that is held. */
  keys(): string[] {
    return [...this.#entries.keys()];
  }

  /** Lends what has been made under this key, or makes it; the last one to release it frees it. @throws as `make` */
  async acquire(key: string, make: () => Tensors | Promise<Tensors>): Promise<DerivedLease> {
    let entry = this.#entries.get(key);
    if (!entry) this.#entries.set(key, (entry = { tensors: Promise.resolve().then(make), numUsers: 0 }));
    entry.numUsers++;
    let isHeld = true;
    const release = (): void => {
      if (isHeld && --entry.numUsers === 0) {
        this.#entries.delete(key);
        entry.tensors.then((tensors) => this.#tellFreed(Object.values(tensors))).catch(() => {});
      }
      isHeld = false;
    };
    try {
      return { tensors: await entry.tensors, release };
    } catch (error) {
      release();
      throw error;
    }
  }

  /** Another form of a tensor that is held, made once and held as long. */
  form(tensor: HostTensor, name: string, make: () => HostTensor): HostTensor {
    const forms = this.#forms.get(tensor) ?? new Map<string, HostTensor>();
    this.#forms.set(tensor, forms);
    const form = forms.get(name) ?? make();
    forms.set(name, form);
    return form;
  }

  /** Has `act` called when a tensor, or the one of which it is a form, is freed, until what is returned is called. */
  whenFreed(tensor: HostTensor, act: () => void): () => void {
    const listeners = this.#listeners.get(tensor) ?? new Set();
    this.#listeners.set(tensor, listeners.add(act));
    return () => listeners.delete(act);
  }

  #tellFreed(tensors: readonly HostTensor[]): void {
    const forms = tensors.flatMap((tensor) => [...(this.#forms.get(tensor)?.values() ?? [])]);
    for (const tensor of [...tensors, ...forms]) {
      for (const act of this.#listeners.get(tensor) ?? []) act();
      this.#listeners.delete(tensor);
    }
  }
}
