/**
 * @file Sizes of tensors, known or symbolic.
 *
 * A size is a number or a polynomial of symbols in canonical text form ("B", "B*T", "P+T", "-256+T"), so two sizes are
 * equal exactly when they are `===`. A program is compiled once and bound to numbers at each run.
 */

export type Dim = number | string;
export type Shape = readonly Dim[];

/** Values of the symbols of one run. */
export type Bindings = Readonly<Record<string, number>>;

type Polynomial = Map<string, number>;

function parse(dim: Dim): Polynomial {
  if (typeof dim === "number") return new Map([["", dim]]);
  const terms: Polynomial = new Map();
  for (const text of dim.split("+")) {
    const factors = text.split("*");
    const coefficient = /^-?\d+$/.test(factors[0] ?? "") ? Number(factors.shift()) : 1;
    const symbols = factors.sort().join("*");
    terms.set(symbols, (terms.get(symbols) ?? 0) + coefficient);
  }
  return terms;
}

function format(terms: Polynomial): Dim {
  const entries = [...terms].filter(([, coefficient]) => coefficient !== 0);
  if (entries.length === 0) return 0;
  if (entries.length === 1 && entries[0]?.[0] === "") return entries[0][1];
  return entries
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([symbols, c]) => (symbols === "" ? `${c}` : c === 1 ? symbols : `${c}*${symbols}`))
    .join("+");
}

/** Adds sizes. */
export function addDims(a: Dim, b: Dim): Dim {
  const sum = parse(a);
  for (const [symbols, c] of parse(b)) sum.set(symbols, (sum.get(symbols) ?? 0) + c);
  return format(sum);
}

/** Multiplies sizes. */
export function mulDims(...dims: readonly Dim[]): Dim {
  let product: Polynomial = new Map([["", 1]]);
  for (const dim of dims) {
    const next: Polynomial = new Map();
    for (const [a, c] of product) {
      for (const [b, d] of parse(dim)) {
        const symbols = [a, b].filter(Boolean).join("*").split("*").sort().join("*");
        next.set(symbols, (next.get(symbols) ?? 0) + c * d);
      }
    }
    product = next;
  }
  return format(product);
}

/** Renames the symbols of a size. */
export function renameSymbols(dim: Dim, rename: (symbol: string) => string): Dim {
  const terms = termsOf(dim).map(({ coefficient, symbols }) => mulDims(coefficient, ...symbols.map(rename)));
  return terms.reduce(addDims, 0);
}

/** A term of a sum: a factor, and the symbols that it multiplies. */
interface Term {
  readonly coefficient: number;
  readonly symbols: readonly string[];
}

/** Of symbolic sizes, by their text: programs have few different ones, and evaluate them all the time. */
const TERMS = new Map<string, readonly Term[]>();

/** Takes a size apart into the terms of its sum. */
export function termsOf(dim: Dim): readonly Term[] {
  const known = typeof dim === "string" ? TERMS.get(dim) : undefined;
  if (known) return known;
  const terms = [...parse(dim)].map(([symbols, coefficient]) => ({
    coefficient,
    symbols: symbols === "" ? [] : symbols.split("*"),
  }));
  if (typeof dim === "string") TERMS.set(dim, terms);
  return terms;
}

/** Puts numbers in for the symbols. @throws RangeError when a symbol has no number. */
export function evaluateDim(dim: Dim, bindings: Bindings): number {
  if (typeof dim === "number") return dim;
  let sum = 0;
  for (const { coefficient, symbols } of termsOf(dim)) {
    let term = coefficient;
    for (const symbol of symbols) {
      const value = bindings[symbol];
      if (value === undefined) throw new RangeError(`Cannot evaluate size "${dim}": ${symbol} has no value`);
      term *= value;
    }
    sum += term;
  }
  return sum;
}

/** Puts numbers in for the symbols of a whole shape; fresh array. */
export function evaluateShape(shape: Shape, bindings: Bindings): number[] {
  return shape.map((dim) => evaluateDim(dim, bindings));
}

/** Counts the elements of a shape whose sizes are known; a scalar has one. */
export function numElements(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Tells whether two shapes are the same. */
export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dim, i) => dim === b[i]);
}

/** Writes a shape for a message. */
export function showShape(shape: Shape): string {
  return `[${shape.join(", ")}]`;
}

/** Broadcasts two shapes by the rule of NumPy. @throws RangeError when they do not fit. */
export function broadcastShapes(verb: string, a: Shape, b: Shape): Dim[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const x = a[a.length - rank + i] ?? 1;
    const y = b[b.length - rank + i] ?? 1;
    if (x === y || y === 1) return x;
    if (x === 1) return y;
    throw new RangeError(`Cannot ${verb} ${showShape(a)} and ${showShape(b)}: sizes ${x} and ${y} differ`);
  });
}
