/** @file Names of a template and their values, in nested scopes. */
import { Undefined, type JinjaValue } from "./values.ts";

export class Scope {
  readonly #values = new Map<string, JinjaValue>();
  readonly #outer: Scope | null;

  constructor(outer: Scope | null) {
    this.#outer = outer;
  }

  set(name: string, value: JinjaValue): void {
    this.#values.set(name, value);
  }

  get(name: string): JinjaValue {
    const own = this.#values.get(name);
    if (own !== undefined) return own;
    return this.#outer === null ? new Undefined(`"${name}"`) : this.#outer.get(name);
  }
}
