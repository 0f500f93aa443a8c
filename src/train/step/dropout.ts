/**
 * @file The dropout of a training: a mask depends only on the seed, the micro-batch, the layer and the site, so that the backward pass
 * draws the same mask as the forward pass.
 */
import type { DropoutUnit } from "../../models/graphs/dropout-masks.ts";
import type { Model } from "../../models/model.ts";
import { Random, STREAM } from "../../random.ts";
import type { FillDropout } from "../../run/blocks/block-runner.ts";
import type { MicroBatchKey } from "./micro-batch.ts";

/** The random stream of each unit that is zeroed as a whole. */
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

  /** Draws the masks of this micro-batch from now on. */
  begin(key: MicroBatchKey): void {
    this.#key = key;
  }

  /** Fills a mask: 0 with probability p, else 1/(1-p). One 32-bit draw per element. */
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
