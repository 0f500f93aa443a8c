/** @file Compares the outputs of a model with their targets: correlations and F1. */
import type { LabelledPositions } from "../../run/head/head-positions.ts";
import { type Predictions, type ReadLogits, eachLogits } from "./predictions.ts";

/** Collects outputs over the batches of an evaluation. S examples, V outputs. */
export class TargetPairs implements Predictions {
  /** Outputs and targets, [V][S]. */
  readonly #found: number[][] = [];
  readonly #wanted: number[][] = [];

  async collect(read: ReadLogits, labelled: LabelledPositions): Promise<void> {
    await eachLogits(read, labelled.indexes, (logits, at) => {
      const targets = labelled.targets!.subarray(at * logits.length, (at + 1) * logits.length);
      this.add(logits, targets);
    });
  }

  /** Adds the outputs of one example and their targets, [V]. */
  add(logits: Float32Array, targets: Float32Array): void {
    for (const [output, target] of targets.entries()) {
      (this.#found[output] ??= []).push(logits[output]!);
      (this.#wanted[output] ??= []).push(target);
    }
  }

  /** Pearson's correlation, the mean over the outputs; NaN if nothing varies. */
  get pearson(): number {
    return this.#mean(correlation);
  }

  /** Spearman's correlation: Pearson's of the ranks; equal numbers share their mean rank. */
  get spearman(): number {
    return this.#mean((x, y) => correlation(ranks(x), ranks(y)));
  }

  #mean(correlate: (x: readonly number[], y: readonly number[]) => number): number {
    const all = this.#found.map((found, output) => correlate(found, this.#wanted[output]!));
    return all.reduce((sum, value) => sum + value, 0) / all.length;
  }

  /** F1 = 2TP / (2TP + FP + FN) over all classes together; predicted are classes likelier than not; 0 without labels and predictions. */
  get microF1(): number {
    const [found, wanted] = [this.#found.flat(), this.#wanted.flat()];
    let [right, named] = [0, 0];
    for (const [i, logit] of found.entries()) {
      const [isFound, isWanted] = [logit > 0, wanted[i]! >= 0.5];
      if (isFound && isWanted) right++;
      named += Number(isFound) + Number(isWanted);
    }
    return named === 0 ? 0 : (2 * right) / named;
  }
}

function correlation(x: readonly number[], y: readonly number[]): number {
  const mean = (values: readonly number[]): number => values.reduce((sum, v) => sum + v, 0) / values.length;
  const [meanX, meanY] = [mean(x), mean(y)];
  let [xy, xx, yy] = [0, 0, 0];
  for (const [i, value] of x.entries()) {
    const [dx, dy] = [value - meanX, y[i]! - meanY];
    xy += dx * dy;
    xx += dx * dx;
    yy += dy * dy;
  }
  return xy / Math.sqrt(xx * yy);
}

/** The rank of each number. */
function ranks(values: readonly number[]): number[] {
  const order = [...values.keys()].sort((a, b) => values[a]! - values[b]!);
  const places: number[] = [];
  for (let from = 0, to = 0; from < order.length; from = to) {
    while (to < order.length && values[order[to]!] === values[order[from]!]) to++;
    for (let i = from; i < to; i++) places[order[i]!] = (from + to - 1) / 2;
  }
  return places;
}
