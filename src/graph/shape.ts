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

/** One term of a size: a coefficient, and the symbols that it multiplies, sorted. */
interface Term {
  readonly coefficient: number;
  readonly symbols: readonly string[];
}

/** Caches of parsed sizes and of products: the graphs of a model have few different sizes, but need them thousands of times. */
const KNOWN_TERMS = new Map<string, readonly Term[]>();
const KNOWN_PRODUCTS = new Map<string, Dim>();
const MAX_KNOWN = 10_000;

function keptIn<T>(known: Map<string, T>, key: string, make: () => T): T {
  let value = known.get(key);
  if (value === undefined) {
    if (known.size === MAX_KNOWN) known.clear();
    known.set(key, (value = make()));
  }
  return value;
}

/** Splits a size into the terms of its sum; the result is cached and must not be changed. */
export function termsOf(dim: Dim): readonly Term[] {
  if (typeof dim === "number") return [{ coefficient: dim, symbols: [] }];
  return keptIn(KNOWN_TERMS, dim, () => dim.split("+").map(parseTerm));
}

function parseTerm(text: string): Term {
  const factors = text.split("*");
  const coefficient = /^-?\d+$/.test(factors[0] ?? "") ? Number(factors.shift()) : 1;
  return { coefficient, symbols: factors.sort() };
}

/** Writes a sum in canonical form: like terms combined, sorted by their symbols. */
function format(terms: readonly Term[]): Dim {
  const sums = new Map<string, number>();
  for (const { coefficient, symbols } of terms) {
    const product = symbols.join("*");
    sums.set(product, (sums.get(product) ?? 0) + coefficient);
  }
  const entries = [...sums].filter(([, coefficient]) => coefficient !== 0);
  if (entries.length === 0) return 0;
  if (entries.length === 1 && entries[0]?.[0] === "") return entries[0][1];
  return entries
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([symbols, c]) => (symbols === "" ? `${c}` : c === 1 ? symbols : `${c}*${symbols}`))
    .join("+");
}

/** Adds sizes. */
export function addDims(a: Dim, b: Dim): Dim {
  if (typeof a === "number" && typeof b === "number") return a + b;
  return format([...termsOf(a), ...termsOf(b)]);
}

/** Multiplies sizes. */
export function mulDims(...dims: readonly Dim[]): Dim {
  return dims.reduce(mulTwo, 1);
}

function mulTwo(a: Dim, b: Dim): Dim {
  if (a === 0 || b === 0) return 0;
  if (typeof a === "number" && typeof b === "number") return a * b;
  if (a === 1) return b;
  if (b === 1) return a;
  return keptIn(KNOWN_PRODUCTS, `${a}×${b}`, () => multiplied(a, b));
}

function multiplied(a: Dim, b: Dim): Dim {
  return format(
    termsOf(a).flatMap((x) =>
      termsOf(b).map((y) => ({
        coefficient: x.coefficient * y.coefficient,
        symbols: [...x.symbols, ...y.symbols].sort(),
      })),
    ),
  );
}

/** Renames the symbols of a size. */
export function renameSymbols(dim: Dim, rename: (symbol: string) => string): Dim {
  const terms = termsOf(dim).map(({ coefficient, symbols }) => mulDims(coefficient, ...symbols.map(rename)));
  return terms.reduce(addDims, 0);
}

/** Replaces the symbols by numbers. @throws RangeError when a symbol has no value */
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

/** Replaces the symbols of a whole shape by numbers; fresh array. */
export function evaluateShape(shape: Shape, bindings: Bindings): number[] {
  return shape.map((dim) => evaluateDim(dim, bindings));
}

/** Counts the elements of a shape whose sizes are known; a scalar has one. */
export function numElements(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Counts the elements of a shape after replacing its symbols by numbers. */
export function evaluateSize(shape: Shape, bindings: Bindings): number {
  return numElements(evaluateShape(shape, bindings));
}

/** Returns the size of one axis; a negative axis counts from the end. @throws RangeError when there is no such axis */
export function dimAt<D extends Dim>(shape: readonly D[], axis: number): D {
  const dim = shape.at(axis);
  if (dim === undefined) throw new RangeError(`Cannot read axis ${axis} of ${showShape(shape)}`);
  return dim;
}

/** Returns the size of one axis, which must be known. @throws RangeError when it is symbolic, or there is no such axis */
export function sizeAt(shape: Shape, axis: number): number {
  const dim = dimAt(shape, axis);
  if (typeof dim === "string")
    throw new RangeError(`Cannot read axis ${axis} of ${showShape(shape)}: its size is not known`);
  return dim;
}

/** Tuples of sizes by number of axes. */
interface Axes<D> {
  readonly 1: readonly [D];
  readonly 2: readonly [D, D];
  readonly 3: readonly [D, D, D];
  readonly 4: readonly [D, D, D, D];
}

/** Returns the sizes of a shape that must have `rank` axes. @throws RangeError when it has another number */
export function dimsOf<D extends Dim, R extends keyof Axes<D>>(shape: readonly D[], rank: R): Axes<D>[R] {
  if (!hasRank(shape, rank)) throw new RangeError(`Cannot read ${showShape(shape)} as ${rank} axes`);
  return shape;
}

/** Tells whether a shape has `rank` axes. */
export function hasRank<D extends Dim, R extends keyof Axes<D>>(
  shape: readonly D[],
  rank: R,
): shape is readonly D[] & Axes<D>[R] {
  return shape.length === rank;
}

/** Returns a shape whose sizes must all be known. @throws RangeError when one is symbolic */
export function knownShape(shape: Shape): readonly number[] {
  return shape.map((_, axis) => sizeAt(shape, axis));
}

/** Tells whether a shape is the expected one; never true where an expected size is undefined. */
export function sameShape(shape: Shape, expected: readonly (Dim | undefined)[]): boolean {
  return shape.length === expected.length && shape.every((dim, i) => dim === expected[i]);
}

/** Writes a shape for a message. */
export function showShape(shape: Shape): string {
  return `[${shape.join(", ")}]`;
}

/** Broadcasts two shapes by NumPy's rules. @throws RangeError when they do not fit */
export function broadcastShapes(verb: string, a: Shape, b: Shape): Dim[] {
  const [long, short] = a.length < b.length ? [b, a] : [a, b];
  return long.map((x, i) => {
    const y = short[short.length - long.length + i] ?? 1;
    if (x === y || y === 1) return x;
    if (x === 1) return y;
    const differing = a === long ? `${x} and ${y}` : `${y} and ${x}`;
    throw new RangeError(`Cannot ${verb} ${showShape(a)} and ${showShape(b)}: sizes ${differing} differ`);
  });
}
