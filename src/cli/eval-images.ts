/** @file `graft eval` of a model that reads images: loss, and the share of images whose class it finds. */
import { type ImageExample } from "../data/images.ts";
import { readImages } from "../data/by-path.ts";
import { Classifier } from "../engine/classifier.ts";
import { readAdapter, openCheckpoint } from "../format/by-path.ts";
import { loadWeights } from "../format/checkpoint/load-model.ts";
import { openModel } from "../models/families.ts";
import type { Model } from "../models/model.ts";
import { Session } from "../run/session.ts";
import { createEngine } from "../runtime/create-engine.ts";
import { Evaluator } from "../train/evaluate.ts";
import type { CommandIO } from "./command.ts";
import type { ModelFlags } from "./generation.ts";

/** Tells whether the model in a folder or file reads images. @throws as `openCheckpoint` and `openModel` */
export async function readsImages(path: string): Promise<boolean> {
  const checkpoint = await openCheckpoint(path);
  try {
    return openModel(checkpoint.config).image !== null;
  } finally {
    await checkpoint.close();
  }
}

/** Images of a file, or those of a folder that are not for training; all of it when there are no others. */
function readTestImages(path: string, model: Model): readonly ImageExample[] {
  const { train, heldOut } = readImages(path, model);
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
    const base = await loadWeights(path, checkpoint, { name });
    const adapter = flags.adapter === undefined ? null : (await readAdapter(flags.adapter, base)).adapter;
    const images = readTestImages(flags.data, base.model);
    const engine = createEngine({ threads });
    const session = new Session(engine, base, keepWidened ? "float32" : "stored");
    const evaluator = await Evaluator.create(session, adapter);
    const classifier = await Classifier.create(session, adapter);
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
      await session.release();
    }
  } finally {
    await checkpoint.close();
  }
}
