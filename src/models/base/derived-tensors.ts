/**
 * @file Tensors derived from a base's tensors once for all users, such as codes shared by the adapters of many tasks. They are
 * held as long as somebody uses them.
 */
import type { HostTensor, Tensors } from "../../runtime/host-tensor.ts";

/** A lease of one user. */
export interface DerivedLease {
  /** Not to be changed. */
  readonly tensors: Tensors;
  release(): void;
}

interface Entry {
  readonly tensors: Promise<Tensors>;
  numUsers: number;
}

export class DerivedTensors {
  readonly #entries = new Map<string, Entry>();
  /** Other forms of held tensors, by name. */
  readonly #forms = new WeakMap<HostTensor, Map<string, HostTensor>>();
  readonly #listeners = new WeakMap<HostTensor, Set<() => void>>();

  /** Keys of everything that is held. */
  keys(): string[] {
    return [...this.#entries.keys()];
  }

  /** Lends the tensors of this key, making them if necessary; the last release frees them. @throws as `make` */
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

  /** Returns another form of a held tensor, made once and held as long as that tensor. */
  form(tensor: HostTensor, name: string, make: () => HostTensor): HostTensor {
    const forms = this.#forms.get(tensor) ?? new Map<string, HostTensor>();
    this.#forms.set(tensor, forms);
    const form = forms.get(name) ?? make();
    forms.set(name, form);
    return form;
  }

  /** Calls `act` when a tensor, or the one that it is a form of, is freed. The returned function cancels this. */
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
