/** @file Compares the shapes of one run with the symbolic shapes of a program: each symbol has one value in a run. */
import type { Value } from "../graph/graph.ts";
import { type Dim, showShape, termsOf } from "../graph/shape.ts";

/** An input, output or constant of a program. */
interface Slot {
  readonly what: string;
  readonly value: Value;
  /** The size of each axis; null: it depends on symbols. */
  readonly sizes: readonly (number | null)[];
  /** For each axis the index of the symbol that is its size; null: the size is a number, or a sum or product of symbols. */
  readonly symbols: readonly (number | null)[];
  /** The axes whose size is a sum or product of symbols. */
  readonly sums: readonly { readonly axis: number; readonly terms: readonly Term[] }[];
}

interface Term {
  readonly coefficient: number;
  readonly symbols: readonly number[];
}

/** A symbol that has no value yet. */
const UNBOUND = -1;

export class ShapeCheck {
  readonly #action: string;
  readonly #slots: Slot[] = [];
  readonly #symbols: string[] = [];

  /** `action` begins messages: "Cannot run program …". */
  constructor(action: string) {
    this.#action = action;
  }

  /** Adds the next of the tensors that `check` will be given; `kind` is a word for messages. */
  add(kind: string, name: string, value: Value): void {
    const { shape } = value;
    this.#slots.push({
      what: `${kind} "${name}"`,
      value,
      sizes: shape.map((dim) => (typeof dim === "number" ? dim : null)),
      symbols: shape.map((dim) => (isSymbol(dim) ? this.#place(dim) : null)),
      sums: shape.flatMap((dim, axis) =>
        typeof dim === "number" || isSymbol(dim) ? [] : [{ axis, terms: this.#terms(dim) }],
      ),
    });
  }

  #place(symbol: string): number {
    const known = this.#symbols.indexOf(symbol);
    return known >= 0 ? known : this.#symbols.push(symbol) - 1;
  }

  #terms(dim: Dim): Term[] {
    return termsOf(dim).map(({ coefficient, symbols }) => ({
      coefficient,
      symbols: symbols.map((symbol) => this.#place(symbol)),
    }));
  }

  /** Checks the shapes of all tensors in the order in which they were added. @throws RangeError */
  check(shapes: readonly { readonly shape: readonly number[] }[]): void {
    const values: number[] = [];
    for (let i = 0; i < this.#symbols.length; i++) values.push(UNBOUND);
    for (let i = 0; i < this.#slots.length; i++) {
      const { sizes, symbols } = this.#slots[i]!;
      const { shape } = shapes[i]!;
      if (shape.length !== sizes.length) throw this.#mismatch(i, shape, values);
      for (let axis = 0; axis < shape.length; axis++) {
        const size = shape[axis]!;
        const place = symbols[axis]!;
        const expected = place === null ? sizes[axis]! : values[place]!;
        if (place !== null && expected === UNBOUND) values[place] = size;
        else if (expected !== null && expected !== size) throw this.#mismatch(i, shape, values);
      }
    }
    for (let i = 0; i < this.#slots.length; i++) {
      for (const { axis, terms } of this.#slots[i]!.sums) {
        const expected = evaluate(terms, values);
        const { shape } = shapes[i]!;
        if (expected !== null && expected !== shape[axis]) throw this.#mismatch(i, shape, values);
      }
    }
  }

  #mismatch(index: number, shape: readonly number[], values: readonly number[]): RangeError {
    const { what, value } = this.#slots[index]!;
    const known = this.#symbols.flatMap((symbol, i) =>
      values[i] === UNBOUND ||
      !value.shape.some((dim) => termsOf(dim).some((t) => t.symbols.includes(symbol)))
        ? []
        : [`${symbol} = ${values[i]}`],
    );
    const where = known.length > 0 ? ` with ${known.join(", ")}` : "";
    return new RangeError(
      `${this.#action}: ${what} has shape ${showShape(shape)}, expected ${showShape(value.shape)}${where}`,
    );
  }
}

function isSymbol(dim: Dim): dim is string {
  return typeof dim === "string" && !/[+*]/.test(dim);
}

/** Evaluates a sum of products; null where a symbol has no value. */
function evaluate(terms: readonly Term[], values: readonly number[]): number | null {
  let sum = 0;
  for (const { coefficient, symbols } of terms) {
    let term = coefficient;
    for (const place of symbols) {
      if (values[place] === UNBOUND) return null;
      term *= values[place]!;
    }
    sum += term;
  }
  return sum;
}
