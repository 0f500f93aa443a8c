/**
 * @file The dropout of a training: a mask is a function of the seed, its micro-batch, its layer and its site, so that the
 * backward pass draws what the forward pass drew.
 */
import type { DropoutUnit } from "../../models/graphs/dropout-masks.ts";
import type { Model } from "../../models/model.ts";
import { Random, STREAM } from "../../random.ts";
import type { FillDropout } from "../../run/blocks/block-runner.ts";
import type { MicroBatchKey } from "./micro-batch.ts";

/** Of each unit that is zeroed as one. */
const STREAMS: Readonly<Record<DropoutUnit, number>> = {
  number: STREAM.dropoutOfNumbers,
  row: STREAM.dropoutOfRows,
};

export class Dropout {
  readonly #seed: number;
  readonly #model: Model;
  #key: MicroBatchKey = { step: 0, micro: 0 };

  constructor(seed: number, model: Model) {
    this.#seed = seed;
    this.#model = model;
  }

  /** Masks are those of this micro-batch from now on. */
  begin(key: MicroBatchKey): void {
    this.#key = key;
  }

  /** Zeros with the probability of the mask, else 1/(1-p). One 32-bit draw an element. */
  readonly fill: FillDropout = (layer, { site, unit, probability }, mask) => {
    const { step, micro } = this.#key;
    const sites = this.#model.layers[layer]?.sites ?? [];
    const siteIndex = sites.findIndex((spec) => spec.name === site);
    const random = new Random(this.#seed, STREAMS[unit], step, micro, layer, siteIndex);
    const threshold = probability * 2 ** 32;
    const keep = 1 / (1 - probability);
    for (let i = 0; i < mask.length; i++) mask[i] = random.uint32() < threshold ? 0 : keep;
  };
}
