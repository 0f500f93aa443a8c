/** @file Compares the likeliest tokens or classes with the labels. */
import type { LabelledPositions } from "../../run/head/head-positions.ts";
import type { Head } from "../../run/head/head.ts";
import { likeliest } from "../../run/head/likeliest.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";

/** How many positions have logits in memory at a time. */
export const PREDICTED_CHUNK = 256;

/** Source of logits: a head applied to x, [B, T, D]. */
export interface ReadLogits {
  readonly head: Head;
  readonly x: HostTensor<"float32">;
}

/** Collects from the logits of labelled positions what an evaluation reports. */
export interface Predictions {
  /** Adds the positions of a batch, each with its weight. */
  collect(read: ReadLogits, labelled: LabelledPositions, weights: Float32Array): Promise<void>;
}

/** Visits the logits, [V], of each position with its number; the array is valid only during the call. */
export async function eachLogits(
  { head, x }: ReadLogits,
  indexes: Int32Array,
  visit: (logits: Float32Array, at: number) => void,
): Promise<void> {
  const { numOutputs } = head;
  for (let from = 0; from < indexes.length; from += PREDICTED_CHUNK) {
    const chunk = indexes.subarray(from, from + PREDICTED_CHUNK);
    await head.withLogitsAt(x, chunk, 0, (logits) => {
      for (let row = 0; row < chunk.length; row++)
        visit(logits.subarray(row * numOutputs, (row + 1) * numOutputs), from + row);
    });
  }
}

/** How often a class was predicted rightly, was the label, was predicted. */
interface ClassCounts {
  right: number;
  labelled: number;
  predicted: number;
}

/** Counts predictions over the batches of an evaluation. */
export class PredictionCounts implements Predictions {
  readonly #classes = new Map<number, ClassCounts>();
  #rightWeight = 0;
  #weight = 0;

  async collect(
    read: ReadLogits,
    { indexes, labels }: LabelledPositions,
    weights: Float32Array,
  ): Promise<void> {
    const predicted = new Int32Array(indexes.length);
    await eachLogits(read, indexes, (logits, at) => void (predicted[at] = likeliest(logits)));
    this.add(predicted, labels, weights);
  }

  /** Adds positions, each with its weight. */
  add(predicted: Int32Array, labels: Int32Array, weights: Float32Array): void {
    for (const [i, label] of labels.entries()) {
      const isRight = predicted[i] === label;
      this.#weight += weights[i]!;
      if (isRight) this.#rightWeight += weights[i]!;
      this.#of(label).labelled++;
      this.#of(predicted[i]!).predicted++;
      if (isRight) this.#of(label).right++;
    }
  }

  #of(label: number): ClassCounts {
    let counts = this.#classes.get(label);
    if (!counts) this.#classes.set(label, (counts = { right: 0, labelled: 0, predicted: 0 }));
    return counts;
  }

  /** Weighted share of right predictions. */
  get accuracy(): number {
    return this.#rightWeight / this.#weight;
  }

  /** Mean F1 over the classes; a class that is neither label nor prediction is left out. */
  get macroF1(): number {
    const scores = [...this.#classes.values()].map(
      ({ right, labelled, predicted }) => (2 * right) / (labelled + predicted),
    );
    return scores.reduce((sum, score) => sum + score, 0) / scores.length;
  }
}
