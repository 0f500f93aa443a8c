/** @file Finds the nearest spelling of a mistyped name. */

/**
 * Counts the single-letter edits between two words, ignoring case (Levenshtein, with swaps of neighbours); any number above
 * `most` if there are more. Looks only at cells within `most` of the diagonal (Ukkonen), since others need more edits, and only
 * while a row has a cell within `most`.
 */
export function editDistance(one: string, other: string, most = Infinity): number {
  const [a, b] = [one.toLowerCase(), other.toLowerCase()];
  if (Math.abs(a.length - b.length) > most) return Infinity;
  const newRow = () => new Float64Array(b.length + 2).fill(Infinity);
  let [older, old, row] = [newRow(), newRow().map((_, j) => (j <= b.length ? j : Infinity)), newRow()];
  for (let i = 1; i <= a.length; i++) {
    const [from, to] = [Math.max(1, i - most), Math.min(b.length, i + most)];
    let least = (row[from - 1] = from === 1 ? i : Infinity);
    for (let j = from; j <= to; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let best = Math.min((old[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (old[j - 1] ?? 0) + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        best = Math.min(best, (older[j - 2] ?? 0) + 1);
      }
      least = Math.min(least, (row[j] = best));
    }
    if (least > most) return Infinity;
    row[to + 1] = Infinity;
    [older, old, row] = [old, row, older];
  }
  return old[b.length] ?? 0;
}

/** Finds the candidate with the fewest edits; `null` if all need more than about a third of the word's length. */
export function nearest(word: string, candidates: readonly string[]): string | null {
  let [best, bestDistance] = [null as string | null, Math.max(2, Math.ceil(word.length / 3)) + 1];
  for (const candidate of candidates) {
    const distance = editDistance(word, candidate, bestDistance - 1);
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/** A hint that asks whether the nearest candidate was meant; null: none is near. */
export function didYouMean(word: string, candidates: readonly string[]): string | null {
  const match = nearest(word, candidates);
  return match === null ? null : `Did you mean "${match}"?`;
}

/** The same question as the end of a message without a hint; "": none is near. */
export function orNearest(word: string, candidates: readonly string[]): string {
  const match = nearest(word, candidates);
  return match === null ? "" : `: did you mean "${match}"?`;
}
