/** @file Classes of images: the logits of each image's first position, several images a pass. */
import { toBatch } from "../data/batch.ts";
import type { ImageExample } from "../data/images.ts";
import { UsageError } from "../errors.ts";
import type { BaseModel } from "../models/base-model.ts";
import type { Adapter } from "../peft/attach.ts";
import { BlockRunner } from "../run/block-runner.ts";
import { ContextMaker } from "../run/context.ts";
import { Embedding } from "../run/embedding.ts";
import { Head } from "../run/head.ts";
import { BufferPool } from "../runtime/buffer-pool.ts";
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
  readonly #runner: BlockRunner;
  readonly #embedding: Embedding;
  readonly #head: Head;
  readonly #contexts: ContextMaker;

  private constructor(runner: BlockRunner, embedding: Embedding, head: Head) {
    this.#runner = runner;
    this.#embedding = embedding;
    this.#head = head;
    this.#contexts = new ContextMaker(runner.base.config);
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
    const pool = new BufferPool();
    const runner = new BlockRunner(engine, base, adapter, pool, null);
    const embedding = await Embedding.create(engine, base, adapter, pool);
    return new Classifier(runner, embedding, new Head(engine, base, adapter, pool));
  }

  /** Classifies images in their order; their own labels are not looked at. */
  async classify(images: readonly ImageExample[]): Promise<Classification[]> {
    const numImages = Math.max(1, Math.floor(PASS_POSITIONS / this.#runner.base.config.maxPositions));
    const results: Classification[] = [];
    for (let from = 0; from < images.length; from += numImages) {
      const pass = images.slice(from, from + numImages);
      results.push(...(await this.#runner.base.exclusively(() => this.#pass(pass))));
    }
    return results;
  }

  async #pass(images: readonly ImageExample[]): Promise<Classification[]> {
    const { pool, numLayers } = this.#runner;
    const { width, vocabSize } = this.#runner.base.config;
    const { numRows, length, input, positions, segments } = toBatch(images.map((image) => [image]));
    const context = this.#contexts.rows(numRows, length, positions, segments);
    let x = await this.#embedding.forward(input);
    for (let layer = 0; layer < numLayers; layer++) {
      const { y } = await this.#runner.forward(layer, x, context, false);
      pool.release(x);
      x = y;
    }
    const first = pool.acquire("float32", [numRows, width]);
    for (let row = 0; row < numRows; row++) {
      const start = row * length * width;
      first.data.set(x.data.subarray(start, start + width), row * width);
    }
    const all = await this.#head.logits(first);
    const results = images.map((_, row) => {
      const logits = all.data.slice(row * vocabSize, (row + 1) * vocabSize);
      return { label: logits.indexOf(Math.max(...logits)), logits };
    });
    pool.release(x, first, all);
    return results;
  }

  /** Share of images whose likeliest class is their own. */
  async accuracy(images: readonly ImageExample[]): Promise<number> {
    const found = await this.classify(images);
    return found.filter(({ label }, i) => label === images[i]?.label).length / images.length;
  }

  /** Frees the programs. */
  async release(): Promise<void> {
    await this.#runner.release();
    await this.#embedding.release();
    await this.#head.release();
  }
}
