/** @file The likeliest tokens or classes beside what they should be. */
import { sizeAt } from "../../graph/shape.ts";
import type { LabelledPositions } from "../../run/head/head-positions.ts";
import type { Head } from "../../run/head/head.ts";
import type { Session } from "../../run/session.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";

/** Logits of so many positions exist at a time. */
export const PREDICTED_CHUNK = 256;

/** Finds the likeliest output of each labelled position of x [B, T, D]. */
export async function predict(
  session: Session,
  head: Head,
  x: HostTensor<"float32">,
  { indexes }: LabelledPositions,
): Promise<Int32Array> {
  const predicted = new Int32Array(indexes.length);
  for (let from = 0; from < indexes.length; from += PREDICTED_CHUNK) {
    const chunk = indexes.subarray(from, from + PREDICTED_CHUNK);
    const logits = await head.logitsAt(x, chunk);
    const numOutputs = sizeAt(logits.shape, 1);
    for (let row = 0; row < chunk.length; row++) {
      const own = logits.data.subarray(row * numOutputs, (row + 1) * numOutputs);
      predicted[from + row] = likeliest(own);
    }
    session.pool.release(logits);
  }
  return predicted;
}

/** The index of the largest number, the first of equal ones. */
function likeliest(logits: Float32Array): number {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i]! > logits[best]!) best = i;
  return best;
}

/** How often a class was right, was there, was named. */
interface ClassCounts {
  right: number;
  labelled: number;
  predicted: number;
}

/** Counts predictions over the batches of an evaluation. */
export class PredictionCounts {
  readonly #classes = new Map<number, ClassCounts>();
  #rightWeight = 0;
  #weight = 0;

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

  /** Share of the right ones, by their weights. */
  get accuracy(): number {
    return this.#rightWeight / this.#weight;
  }

  /** Mean over the classes of F1; those that are nowhere have none. */
  get macroF1(): number {
    const scores = [...this.#classes.values()].map(
      ({ right, labelled, predicted }) => (2 * right) / (labelled + predicted),
    );
    return scores.reduce((sum, score) => sum + score, 0) / scores.length;
  }
}
