/**
 * @file Puts the examples of a batch into as few rows as the longest one allows.
 *
 * Attention never crosses an example, so the loss and its gradient are the same as with one example per row, with less padding.
 */
import { type TrainingExample, exampleLength } from "../../data/examples/training-unit.ts";
import { packRows } from "../../data/batches/packing.ts";

/** Rows of at most the longest example's length. */
export function fillRows<E extends TrainingExample>(examples: readonly E[]): E[][] {
  const lengths = examples.map(exampleLength);
  const order = examples.map((_, i) => i);
  return packRows(order, lengths, Math.max(...lengths)).map((row) => row.map((i) => examples[i]!));
}
