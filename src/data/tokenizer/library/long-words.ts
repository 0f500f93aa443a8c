/**
 * @file Merges the characters of a long word, such as a line of ten thousand spaces, as the library does: the pair of the lowest
 * rank first, of equal ones the first in the word.
 *
 * The library makes an object for each character and each merge, and takes 2 s for 300,000 characters; here a position is a number.
 */

/** A pair of symbols that become one. */
interface Merge {
  readonly rank: number;
  readonly symbol: number;
}

/** Numbers of which the smallest is taken first. */
class Heap {
  readonly #numbers: number[] = [];

  push(number: number): void {
    const numbers = this.#numbers;
    let place = numbers.length;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (numbers[parent]! <= number) break;
      numbers[place] = numbers[parent]!;
      place = parent;
    }
    numbers[place] = number;
  }

  pop(): number | undefined {
    const numbers = this.#numbers;
    const smallest = numbers[0];
    const last = numbers.pop();
    if (last === undefined || numbers.length === 0) return smallest;
    let place = 0;
    for (;;) {
      let child = 2 * place + 1;
      if (child + 1 < numbers.length && numbers[child + 1]! < numbers[child]!) child++;
      if (child >= numbers.length || numbers[child]! >= last) break;
      numbers[place] = numbers[child]!;
      place = child;
    }
    numbers[place] = last;
    return smallest;
  }
}

/** Looks up merges of symbols, each pair once. */
class Symbols {
  readonly texts: string[] = [];
  readonly #ranks: ReadonlyMap<string, number>;
  readonly #numbers = new Map<string, number>();
  readonly #merges: Map<number, Merge | null>[] = [];

  constructor(ranks: ReadonlyMap<string, number>) {
    this.#ranks = ranks;
  }

  number(text: string): number {
    const known = this.#numbers.get(text);
    if (known !== undefined) return known;
    this.#numbers.set(text, this.texts.length);
    this.#merges.push(new Map());
    return this.texts.push(text) - 1;
  }

  merge(left: number, right: number): Merge | null {
    const known = this.#merges[left]!.get(right);
    if (known !== undefined) return known;
    const [first, second] = [this.texts[left]!, this.texts[right]!];
    const rank = this.#ranks.get(`${first} ${second}`);
    const merge = rank === undefined ? null : { rank, symbol: this.number(first + second) };
    this.#merges[left]!.set(right, merge);
    return merge;
  }
}

/** Merges characters by the ranks of pairs, each "LEFT RIGHT". */
export function mergeLong(characters: readonly string[], ranks: ReadonlyMap<string, number>): string[] {
  const { length } = characters;
  const symbols = new Symbols(ranks);
  const at = Int32Array.from(characters, (character) => symbols.number(character));
  const next = Int32Array.from(characters, (_, i) => i + 1);
  const previous = Int32Array.from(characters, (_, i) => i - 1);
  const heap = new Heap();
  const mergeAt = (place: number): Merge | null =>
    next[place]! < length ? symbols.merge(at[place]!, at[next[place]!]!) : null;
  const add = (place: number): void => {
    const merge = mergeAt(place);
    if (merge) heap.push(merge.rank * length + place);
  };
  for (let place = 0; place < length; place++) add(place);
  for (let key = heap.pop(); key !== undefined; key = heap.pop()) {
    const place = key % length;
    // One that has been merged away, or whose pair is another by now.
    if (at[place]! < 0) continue;
    const merge = mergeAt(place);
    if (merge === null || merge.rank * length + place !== key) continue;
    const gone = next[place]!;
    at[place] = merge.symbol;
    at[gone] = -1;
    const after = next[gone]!;
    next[place] = after;
    if (after < length) previous[after] = place;
    if (previous[place]! >= 0) add(previous[place]!);
    add(place);
  }
  return Array.from(
    at.filter((symbol) => symbol >= 0),
    (symbol) => symbols.texts[symbol]!,
  );
}
