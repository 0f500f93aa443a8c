/** @file `graft eval` of a model that tells classes: loss, and the share of images or texts whose class it finds. */
import { readDataFile, readImages } from "../data/by-path.ts";
import { openTextTools } from "../data/text-tools.ts";
import { type Classified, Classifier } from "../engine/classifier.ts";
import { readAdapter, openCheckpoint } from "../format/by-path.ts";
import type { Checkpoint } from "../format/checkpoint/checkpoint.ts";
import { loadWeights } from "../format/checkpoint/load-model.ts";
import { openModel } from "../models/families.ts";
import type { Model } from "../models/model.ts";
import { COMPUTES } from "../nn/computes.ts";
import { Session } from "../run/session.ts";
import { createEngine } from "../runtime/create-engine.ts";
import { Evaluator } from "../train/evaluate.ts";
import { classesOf } from "../train/run-data.ts";
import type { CommandIO } from "./command.ts";
import type { ModelFlags } from "./generation.ts";

/** Tells whether the model in a folder or file tells classes. @throws as `openCheckpoint` and `openModel` */
export async function tellsClasses(path: string): Promise<boolean> {
  const checkpoint = await openCheckpoint(path);
  try {
    return openModel(checkpoint.config).classPosition !== null;
  } finally {
    await checkpoint.close();
  }
}

/**
 * Texts of a file, or images: those of a file, or of a folder those that are not for training, all of it when there are no
 * others.
 */
function readExamples(
  path: string,
  { data, length }: Pick<ClassFlags, "data" | "length">,
  model: Model,
  { tokenizerFiles }: Checkpoint,
): readonly Classified[] {
  if (model.image !== null) {
    const { train, heldOut } = readImages(data, model);
    return heldOut ?? train;
  }
  const tools = openTextTools(path, tokenizerFiles);
  const how = {
    ...tools,
    maxLength: Math.min(length, model.maxPositions),
    kind: "classes",
    ...classesOf(model),
  } as const;
  return readDataFile<"classes">(data, how).examples;
}

type ClassFlags = ModelFlags & { readonly data: string; readonly length: number };

/** Evaluates the model in a folder, with a bar on the terminal. @throws UsageError "usage/data" and as the readers of model and adapter */
export async function evaluateClasses(path: string, flags: ClassFlags, io: CommandIO): Promise<void> {
  const { model: name, keepWidened, compute, threads } = flags;
  const checkpoint = await openCheckpoint(path);
  try {
    const base = await loadWeights(path, checkpoint, { name });
    const adapter = flags.adapter === undefined ? null : (await readAdapter(flags.adapter, base)).adapter;
    const examples = readExamples(path, flags, base.model, checkpoint);
    const kind = base.model.image === null ? "texts" : "images";
    const engine = createEngine({ threads });
    const session = new Session(engine, base, keepWidened ? "float32" : "stored", {
      compute: COMPUTES[compute],
    });
    const evaluator = await Evaluator.create(session, adapter);
    const classifier = await Classifier.create(session, adapter);
    const bar = io.progress("evaluating", examples.length, "steps");
    try {
      const { loss } = await evaluator.evaluate(examples, (numDone) => {
        bar.update(numDone);
        io.signal.throwIfAborted();
      });
      const accuracy = await classifier.accuracy(examples);
      bar.stop();
      io.stdout(
        `loss ${loss.toFixed(4)}, accuracy ${(100 * accuracy).toFixed(2)} % over ${examples.length} ${kind}`,
      );
      io.emit({ event: "done", loss, accuracy, [kind]: examples.length });
    } finally {
      bar.stop();
      await session.release();
    }
  } finally {
    await checkpoint.close();
  }
}
