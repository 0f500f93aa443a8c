/** @file Arguments of a call, by place or name: what is called reads those that it knows, and any other is an error, as in Python. */
import { type Callable, type JinjaValue, type Named, isTrue, kindOf } from "./values.ts";

export class Arguments {
  readonly #places: readonly JinjaValue[];
  readonly #named: Named;
  readonly #read = new Set<number | string>();

  constructor(places: readonly JinjaValue[], named: Named) {
    this.#places = places;
    this.#named = named;
  }

  /** JavaScript's undefined: it is not given. */
  value(place: number, name: string): JinjaValue | undefined {
    const isPlaced = place < this.#places.length;
    this.#read.add(isPlaced ? place : name);
    return isPlaced ? this.#places[place] : this.#named.get(name);
  }

  /** Whether an argument is true to Python; one that is not given is not. */
  flag(place: number, name: string): boolean {
    return isTrue(this.value(place, name) ?? false);
  }

  /** @throws Error for another kind */
  text(place: number, name: string): string {
    const value = this.value(place, name);
    if (typeof value === "string") return value;
    throw new Error(`${name} is ${value === undefined ? "absent" : kindOf(value)}, expected a text`);
  }

  /** Null: it is not given, or none. @throws Error for another kind */
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

  /** The second and third argument as ends of a part of `length` items: from one place to before another, those below 0 from behind. */
  range(length: number): readonly [from: number, to: number] {
    const at = (end: number): number => Math.max(end < 0 ? end + length : end, 0);
    return [at(this.number(1, "start", 0)), Math.min(at(this.number(2, "end", length)), length)];
  }

  /** All that are given by place. */
  places(): readonly JinjaValue[] {
    for (const place of this.#places.keys()) this.#read.add(place);
    return this.#places;
  }

  /** All that are given by name. */
  named(): Named {
    for (const name of this.#named.keys()) this.#read.add(name);
    return this.#named;
  }

  /** @throws Error for an argument that nobody has read */
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

/** A function of templates that refuses arguments which it has not read. */
export function calling(work: (args: Arguments) => JinjaValue): Callable {
  return (places, named) => {
    const args = new Arguments(places, named);
    const made = work(args);
    args.requireAllRead();
    return made;
  };
}
