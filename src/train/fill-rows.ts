/**
 * @file Puts the examples of a batch into as few rows as the longest one allows.
 *
 * Attention never crosses an example, so the loss and its gradient are those of one example a row, with less padding.
 */
import type { Example } from "../data/example.ts";
import { packRows } from "../data/packing.ts";

/** Rows of at most the longest example's length. */
export function fillRows(examples: readonly Example[]): Example[][] {
  const lengths = examples.map(({ ids }) => ids.length);
  const order = examples.map((_, i) => i);
  return packRows(order, lengths, Math.max(...lengths)).map((row) => row.map((i) => examples[i] as Example));
}
