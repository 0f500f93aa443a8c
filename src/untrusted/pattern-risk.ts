/**
 * @file Tells whether JavaScript's own regular expression search may backtrack without bound on some text.
 *
 * It tries one way after another. That is harmless if no repetition is inside a repeated group, no repeated group has a choice,
 * and nothing must follow the second repetition of a branch: the ways to divide a text among repetitions then grow without bound
 * in at most one place. Consecutive choices are counted, since they multiply.
 */

/** The relevant properties of a piece of a pattern. */
interface Piece {
  /** Whether it can match the empty text. */
  readonly isOptional: boolean;
  /** Number of repetitions without a small bound on one way through it. */
  readonly numRepeats: number;
  /** Whether it can match texts of several lengths, or in several ways. */
  readonly isVariable: boolean;
  /** Number of ways through it, for each choice and each number of small repetitions. */
  readonly numWays: number;
}

/** Up to this bound, a repetition counts as if it were written out. */
const SMALL_REPEAT = 64;
/** Deepest nesting of groups. */
const MAX_DEPTH = 50;
/** Most ways to try from each place of a text. */
const MAX_WAYS = 1024;
const EMPTY: Piece = { isOptional: true, numRepeats: 0, isVariable: false, numWays: 1 };

/** Thrown when a pattern may backtrack without bound, or is invalid. */
class Risk extends Error {}

class Reader {
  readonly #source: string;
  #at = 0;
  #depth = 0;

  constructor(source: string) {
    this.#source = source;
  }

  whole(): void {
    this.#choice();
    if (this.#at < this.#source.length) throw new Risk();
  }

  #take(text: string): boolean {
    if (!this.#source.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }

  #match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#source);
    if (found) this.#at += found[0].length;
    return found;
  }

  #choice(): Piece {
    const branches = [this.#branch()];
    while (this.#take("|")) branches.push(this.#branch());
    return {
      isOptional: branches.some(({ isOptional }) => isOptional),
      numRepeats: Math.max(...branches.map(({ numRepeats }) => numRepeats)),
      isVariable: branches.length > 1 || branches.some(({ isVariable }) => isVariable),
      numWays: branches.reduce((sum, { numWays }) => sum + numWays, 0),
    };
  }

  #branch(): Piece {
    let whole = EMPTY;
    while (this.#at < this.#source.length && !"|)".includes(this.#source[this.#at]!)) {
      const piece = this.#repeated(this.#atom());
      if (whole.numRepeats >= 2 && !piece.isOptional) throw new Risk();
      const numRepeats = whole.numRepeats + piece.numRepeats;
      const numWays = whole.numWays * piece.numWays;
      if (numRepeats > 2 || numWays > MAX_WAYS) throw new Risk();
      whole = {
        numWays,
        isOptional: whole.isOptional && piece.isOptional,
        numRepeats,
        isVariable: whole.isVariable || piece.isVariable,
      };
    }
    return whole;
  }

  /** Reads the quantifier after an atom, if there is one. */
  #repeated(atom: Piece): Piece {
    const found = this.#match(/(?:([*+?])|\{(\d+)(,(\d*))?\})[?+]?/y);
    if (!found) return atom;
    const [, sign, least, range, most] = found;
    const min = sign === undefined ? Number(least) : sign === "+" ? 1 : 0;
    const max =
      sign === undefined
        ? Number(range === undefined ? least : most || Infinity)
        : sign === "?"
          ? 1
          : Infinity;
    if (max > 1 && (atom.isVariable || atom.numRepeats > 0)) throw new Risk();
    return {
      isOptional: atom.isOptional || min === 0,
      numRepeats: atom.numRepeats + (max > SMALL_REPEAT ? 1 : 0),
      isVariable: atom.isVariable || min !== max,
      numWays: atom.numWays + (max > SMALL_REPEAT ? 0 : max - min),
    };
  }

  #atom(): Piece {
    const one = { ...EMPTY, isOptional: false };
    if (this.#match(/\\[1-9k]/y)) throw new Risk(); // refers to what a group matched
    if (this.#match(/\\(?:[pP]\{[^}]*\}|u\{[^}]*\}|[^])/y)) return one;
    if (this.#match(/\[(?:[^\]\\]|\\[^])*\]/y)) return one;
    if (!this.#take("(")) {
      this.#at++;
      return one;
    }
    const look = this.#match(/\?<?[=!]/y);
    if (!look) this.#match(/\?(?:<[^>]*>|[a-z]*(?:-[a-z]+)?:)/y);
    if (++this.#depth > MAX_DEPTH) throw new Risk();
    const inner = this.#choice();
    this.#depth--;
    if (!this.#take(")")) throw new Risk();
    // Lookaround consumes nothing, but is tried again at each place.
    if (look && inner.numRepeats > 1) throw new Risk();
    return look ? { ...inner, isOptional: false } : inner;
  }
}

/** Whether JavaScript itself may search for a pattern. */
export function isSafePattern(source: string): boolean {
  try {
    new Reader(source).whole();
    return true;
  } catch (error) {
    if (error instanceof Risk) return false;
    throw error;
  }
}
