/**
 * @file Packs examples into rows of at most maxLength tokens: best fit, longest first, inside windows of the given order.
 *
 * The window keeps the order of a shuffled data set roughly random, and the time linear in the number of examples.
 */

/** Examples that are packed together; more fill rows better, fewer keep closer to the order. */
const WINDOW_EXAMPLES = 1024;

function packWindow(window: readonly number[], lengths: ArrayLike<number>, maxLength: number): number[][] {
  const lengthOf = (index: number): number => lengths[index] ?? 0;
  const byLength = [...window.keys()].sort(
    (a, b) => lengthOf(window[b] ?? -1) - lengthOf(window[a] ?? -1) || a - b,
  );
  const bins: { free: number; places: number[] }[] = [];
  for (const place of byLength) {
    const length = lengthOf(window[place] ?? -1);
    let best: { free: number; places: number[] } | null = null;
    for (const bin of bins) {
      if (bin.free >= length && (best === null || bin.free < best.free)) best = bin;
    }
    if (best === null) bins.push((best = { free: maxLength, places: [] }));
    best.places.push(place);
    best.free -= length;
  }
  // Restores the given order, of examples in a row and of rows: otherwise the longest would be trained first.
  for (const bin of bins) bin.places.sort((a, b) => a - b);
  bins.sort((a, b) => (a.places[0] ?? 0) - (b.places[0] ?? 0));
  return bins.map(({ places }) => places.map((place) => window[place] ?? -1));
}

/**
 * Packs the examples named by `order` into rows of example indexes; each index comes back exactly once.
 *
 * @throws RangeError when an example is longer than maxLength
 */
export function packRows(
  order: readonly number[],
  lengths: ArrayLike<number>,
  maxLength: number,
  windowExamples = WINDOW_EXAMPLES,
): number[][] {
  const tooLong = order.find((index) => (lengths[index] ?? 0) > maxLength);
  if (tooLong !== undefined) {
    throw new RangeError(
      `Cannot pack example ${tooLong}: ${lengths[tooLong]} tokens, expected at most ${maxLength}`,
    );
  }
  const rows: number[][] = [];
  for (let start = 0; start < order.length; start += windowExamples) {
    rows.push(...packWindow(order.slice(start, start + windowExamples), lengths, maxLength));
  }
  return rows;
}
