/** @file Makes the embedding of a text: the mean of the model's outputs after the final norm, scaled to length 1. */
import { notFinite } from "../not-finite.ts";
import { sizeAt } from "../../graph/shape.ts";
import type { Head } from "../../run/head/head.ts";
import type { PromptReader, ReadPart } from "./prompt-reader.ts";

export class MeanPool implements PromptReader {
  #sum = new Float64Array(0);

  async read(head: Head, { y, row, from }: ReadPart): Promise<void> {
    const width = sizeAt(y.shape, 2);
    if (from === 0) this.#sum = new Float64Array(width);
    await head.withNormed(y, row, (normed) => {
      for (let i = 0; i < normed.length; i++) this.#sum[i % width]! += normed[i]!;
    });
  }

  /** The mean, scaled to length 1. @throws FailedError "engine/nan" */
  get embedding(): Float32Array {
    const length = Math.hypot(...this.#sum);
    if (Number.isFinite(length) && length > 0) return Float32Array.from(this.#sum, (value) => value / length);
    throw notFinite("embed a text");
  }
}
