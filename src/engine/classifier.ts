/** @file Classes of images: the logits of each image's first position, several images a pass. */
import { toBatch } from "../data/batch.ts";
import type { ImageExample } from "../data/images.ts";
import { UsageError } from "../errors.ts";
import type { BaseModel } from "../models/base-model.ts";
import type { Adapter } from "../peft/attach.ts";
import { ForwardPass } from "../run/forward-pass.ts";
import type { Engine } from "../runtime/engine.ts";

/** Positions of one pass: enough images to fill the machine, few enough for small memory. */
const PASS_POSITIONS = 1024;

/** What is seen in an image. */
export interface Classification {
  /** The likeliest class. */
  readonly label: number;
  /** Logits of all classes, [V]; owned by the caller. */
  readonly logits: Float32Array;
}

export class Classifier {
  readonly #forward: ForwardPass;

  private constructor(forward: ForwardPass) {
    this.#forward = forward;
  }

  /** Compiles what is not tied to a block. `adapter` null: the base alone. @throws UsageError "usage/model" for a model that reads no images */
  static async create(engine: Engine, base: BaseModel, adapter: Adapter | null): Promise<Classifier> {
    const { stem, modelType } = base.architecture;
    if (stem.reads !== "images") {
      throw new UsageError(
        "usage/model",
        `Cannot classify images with model "${base.name}": family ${modelType} reads ${stem.reads}, expected images`,
        { hint: "Choose a vision model" },
      );
    }
    return new Classifier(await ForwardPass.create(engine, base, adapter));
  }

  /** Classifies images in their order; their own labels are not looked at. */
  async classify(images: readonly ImageExample[]): Promise<Classification[]> {
    const numImages = Math.max(1, Math.floor(PASS_POSITIONS / this.#forward.base.config.maxPositions));
    const results: Classification[] = [];
    for (let from = 0; from < images.length; from += numImages) {
      const pass = images.slice(from, from + numImages);
      results.push(...(await this.#pass(pass)));
    }
    return results;
  }

  #pass(images: readonly ImageExample[]): Promise<Classification[]> {
    const { pool, head, base } = this.#forward;
    const { vocabSize } = base.config;
    const batch = toBatch(images.map((image) => [image]));
    return this.#forward.run(batch, undefined, async (x) => {
      const all = await head.logitsAt(
        x,
        images.map((_, row) => row * batch.length),
      );
      const results = images.map((_, row) => {
        const logits = all.data.slice(row * vocabSize, (row + 1) * vocabSize);
        return { label: logits.indexOf(Math.max(...logits)), logits };
      });
      pool.release(all);
      return results;
    });
  }

  /** Share of images whose likeliest class is their own. */
  async accuracy(images: readonly ImageExample[]): Promise<number> {
    const found = await this.classify(images);
    return found.filter(({ label }, i) => label === images[i]?.label).length / images.length;
  }

  /** Frees the programs. */
  release(): Promise<void> {
    return this.#forward.release();
  }
}
