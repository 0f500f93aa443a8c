/** @file `graft eval` of a model that reads images: loss, and the share of images whose class it finds. */
import { type ImageExample, readImages } from "../data/images.ts";
import { Classifier } from "../engine/classifier.ts";
import { readAdapter } from "../format/adapters/adapter.ts";
import { openCheckpoint } from "../format/checkpoint/checkpoint.ts";
import { loadWeights } from "../format/checkpoint/load-model.ts";
import type { ModelConfig } from "../models/architecture.ts";
import { findArchitecture } from "../models/architectures.ts";
import { createOrtEngine } from "../runtime/ort-node.ts";
import { Evaluator } from "../train/evaluate.ts";
import type { CommandIO } from "./command.ts";
import type { ModelFlags } from "./generation.ts";

/** Tells whether the model in a folder or file reads images. @throws as `openCheckpoint` and `findArchitecture` */
export async function readsImages(path: string): Promise<boolean> {
  const checkpoint = await openCheckpoint(path);
  try {
    return findArchitecture(checkpoint.config).stem.reads === "images";
  } finally {
    await checkpoint.close();
  }
}

/** Images of a file, or those of a folder that are not for training; all of it when there are no others. */
function readTestImages(path: string, config: ModelConfig): readonly ImageExample[] {
  const { train, heldOut } = readImages(path, config);
  return heldOut ?? train;
}

/** Evaluates the model in a folder on images, with a bar on the terminal. @throws UsageError "usage/data" and as the readers of model and adapter */
export async function evaluateImages(
  path: string,
  flags: ModelFlags & { readonly data: string },
  io: CommandIO,
): Promise<void> {
  const { model: name, keepWidened, threads } = flags;
  const checkpoint = await openCheckpoint(path);
  try {
    const base = await loadWeights(path, checkpoint, { name, keepWidened });
    const adapter = flags.adapter === undefined ? null : (await readAdapter(flags.adapter, base)).adapter;
    const images = readTestImages(flags.data, base.config);
    const engine = createOrtEngine(threads === undefined ? {} : { threads });
    const evaluator = await Evaluator.create(engine, base, adapter);
    const classifier = await Classifier.create(engine, base, adapter);
    const bar = io.progress("evaluating", images.length, "steps");
    try {
      const { loss } = await evaluator.evaluate(images, (numDone) => {
        bar.update(numDone);
        io.signal.throwIfAborted();
      });
      const accuracy = await classifier.accuracy(images);
      bar.stop();
      io.stdout(
        `loss ${loss.toFixed(4)}, accuracy ${(100 * accuracy).toFixed(2)} % over ${images.length} images`,
      );
      io.emit({ event: "done", loss, accuracy, images: images.length });
    } finally {
      bar.stop();
      await evaluator.release();
      await classifier.release();
    }
  } finally {
    await checkpoint.close();
  }
}
