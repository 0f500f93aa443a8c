/**
 * @file Arguments of a call, by position or name. The called function reads those that it knows; any other is an error, as in
 * Python.
 */
import { type Callable, type JinjaValue, type Named, isTrue, kindOf } from "./values.ts";

export class Arguments {
  readonly #places: readonly JinjaValue[];
  readonly #named: Named;
  readonly #read = new Set<number | string>();

  constructor(places: readonly JinjaValue[], named: Named) {
    this.#places = places;
    this.#named = named;
  }

  /** Returns an argument; JavaScript's undefined if it is not given. */
  value(place: number, name: string): JinjaValue | undefined {
    const isPlaced = place < this.#places.length;
    this.#read.add(isPlaced ? place : name);
    return isPlaced ? this.#places[place] : this.#named.get(name);
  }

  /** Whether an argument is truthy in Python; false if it is not given. */
  flag(place: number, name: string): boolean {
    return isTrue(this.value(place, name) ?? false);
  }

  /** @throws Error for another kind */
  text(place: number, name: string): string {
    const value = this.value(place, name);
    if (typeof value === "string") return value;
    throw new Error(`${name} is ${value === undefined ? "absent" : kindOf(value)}, expected a text`);
  }

  /** Null: it is not given, or None. @throws Error for another kind */
  textOrNone(place: number, name: string): string | null {
    const value = this.value(place, name);
    return value === undefined || value === null ? null : this.text(place, name);
  }

  /** @throws Error for another kind */
  number(place: number, name: string, otherwise: number): number {
    const value = this.value(place, name) ?? otherwise;
    if (typeof value === "bigint" || typeof value === "number") return Number(value);
    throw new Error(`${name} is ${kindOf(value)}, expected a number`);
  }

  /** Reads the second and third argument as the range [from, to) of `length` items; negative ends count from the end. */
  range(length: number): readonly [from: number, to: number] {
    const at = (end: number): number => Math.max(end < 0 ? end + length : end, 0);
    return [at(this.number(1, "start", 0)), Math.min(at(this.number(2, "end", length)), length)];
  }

  /** All positional arguments. */
  places(): readonly JinjaValue[] {
    for (const place of this.#places.keys()) this.#read.add(place);
    return this.#places;
  }

  /** All named arguments. */
  named(): Named {
    for (const name of this.#named.keys()) this.#read.add(name);
    return this.#named;
  }

  /** @throws Error for an argument that has not been read */
  requireAllRead(): void {
    const unread = [...this.#places.keys(), ...this.#named.keys()].find((key) => !this.#read.has(key));
    if (unread === undefined) return;
    throw new Error(
      typeof unread === "number"
        ? `argument ${unread + 1} is one too many`
        : `the argument "${unread}" is unknown`,
    );
  }
}

/** Makes a template function that refuses arguments it has not read. */
export function calling(work: (args: Arguments) => JinjaValue): Callable {
  return (places, named) => {
    const args = new Arguments(places, named);
    const made = work(args);
    args.requireAllRead();
    return made;
  };
}
