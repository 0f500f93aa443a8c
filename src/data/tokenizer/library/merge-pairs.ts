/**
 * @file Merges the pairs of very long words: a tokenizer that does not split into words treats a whole text as one.
 *
 * The library makes several objects for each character, 250 bytes. Here a token is represented by its start, in 28 bytes, and
 * waiting pairs are numbers.
 */

const NONE = -1;

/**
 * Yields the tokens of a word: of all adjacent pairs, the one with the lowest rank is merged first, and of equal ones the
 * leftmost. `rankOf` receives "LEFT RIGHT".
 */
export function* mergePairs(
  word: string,
  rankOf: (pair: string) => number | undefined,
): Generator<string, void, void> {
  const { length } = word;
  // Indexed by the start of a token: the starts of its neighbours, and the rank of the pair with the next token.
  const none = (): Int32Array => new Int32Array(length + 1).fill(NONE);
  const [before, after, ranks] = [none(), none(), none()];
  const waiting = new LowestFirst(2 * length);
  const look = (at: number): void => {
    const middle = after[at]!;
    const pair = `${word.slice(at, middle)} ${word.slice(middle, after[middle])}`;
    const rank = middle < length ? rankOf(pair) : undefined;
    ranks[at] = rank ?? NONE;
    if (rank !== undefined) waiting.put(rank * length + at);
  };
  for (let at = 0; at < length; at = after[at]!) {
    after[at] = at + (word.codePointAt(at)! > 0xffff ? 2 : 1);
    before[after[at]!] = at;
  }
  for (let at = 0; at < length; at = after[at]!) look(at);
  for (let lowest = waiting.take(); lowest !== undefined; lowest = waiting.take()) {
    const at = lowest % length;
    // One of the two tokens has been merged with another since.
    if (ranks[at] !== Math.floor(lowest / length)) continue;
    const middle = after[at]!;
    after[at] = after[middle]!;
    before[after[at]] = at;
    ranks[middle] = NONE;
    look(at);
    if (before[at] !== NONE) look(before[at]!);
  }
  for (let at = 0; at < length; at = after[at]!) yield word.slice(at, after[at]);
}

/** A heap of numbers, from which the lowest is taken first. */
class LowestFirst {
  readonly #numbers: Float64Array;
  #count = 0;

  /** `capacity`: maximum number of entries at a time. */
  constructor(capacity: number) {
    this.#numbers = new Float64Array(capacity);
  }

  put(number: number): void {
    const numbers = this.#numbers;
    let at = this.#count++;
    for (let above = (at - 1) >> 1; at > 0 && numbers[above]! > number; above = (at - 1) >> 1) {
      numbers[at] = numbers[above]!;
      at = above;
    }
    numbers[at] = number;
  }

  take(): number | undefined {
    if (this.#count === 0) return undefined;
    const numbers = this.#numbers;
    const lowest = numbers[0]!;
    const count = --this.#count;
    const last = numbers[count]!;
    let at = 0;
    for (let below = 1; below < count; below = 2 * at + 1) {
      if (below + 1 < count && numbers[below + 1]! < numbers[below]!) below++;
      if (numbers[below]! >= last) break;
      numbers[at] = numbers[below]!;
      at = below;
    }
    numbers[at] = last;
    return lowest;
  }
}
