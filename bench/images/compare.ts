/** @file Pre-trains a small Vision Transformer on one kind of images and tunes it to another with several methods. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  Classifier,
  type ImageExample,
  OPTIMIZERS,
  Session,
  type TrainInput,
  createEngine,
  imageFiles,
  loadModel,
  readAdapter,
  readImageFile,
  train,
} from "../../src/index.ts";
import { type StartSizes, writeStartModel } from "./start-model.ts";

/** An image and its class, whatever model it is for. */
export type Picture = Pick<ImageExample, "pixels" | "label">;

/** Pictures of before and after the change, to train on and to test on. */
export interface Task {
  readonly sizes: StartSizes;
  readonly before: { readonly train: readonly Picture[]; readonly test: readonly Picture[] };
  readonly after: { readonly train: readonly Picture[]; readonly test: readonly Picture[] };
}

/** How long to train, and with what. */
interface Settings {
  readonly pretrainSteps: number;
  readonly tuneSteps: number;
  readonly batchSize: number;
  readonly seed: number;
  readonly threads?: number;
  readonly methods: readonly Partial<TrainInput>[];
}

/** What a method came to. */
export interface Result {
  readonly method: string;
  readonly trainableParameters: number;
  readonly optimizerBytes: number;
  /** On pictures of after the change that were not trained on. */
  readonly accuracy: number;
  readonly seconds: number;
}

/** What the comparison came to. */
export interface Comparison {
  /** Of the pre-trained model, on pictures of its own kind and on those of the other. */
  readonly pretrained: { readonly own: number; readonly other: number; readonly seconds: number };
  readonly results: readonly Result[];
}

/** A learning rate that suits each method on a model of this size. */
export const METHODS: readonly Partial<TrainInput>[] = [
  { method: "full", learningRate: 1e-3 },
  { method: "lora", rank: 4, alpha: 8, learningRate: 5e-3 },
  { method: "snell", rank: 4, sparsity: 0.5, learningRate: 5e-3 },
  { method: "ia3", learningRate: 2e-2 },
  { method: "bitfit", learningRate: 5e-3 },
];

/** Runs it all in a folder of the caller; `say` is told what has come out so far. */
export async function compare(
  task: Task,
  settings: Settings,
  folder: string,
  say: (line: string) => void,
): Promise<Comparison> {
  const { before, after } = task;
  for (const [name, { train: own, test }] of Object.entries({ before, after })) {
    writePictures(join(folder, name), "train", own, task.sizes.imageSize);
    writePictures(join(folder, name), "held", test, task.sizes.imageSize);
  }
  await writeStartModel(join(folder, "start"), task.sizes, settings.seed);
  const pretrained = await pretrain(settings, folder);
  say(
    `pre-trained: accuracy ${percent(pretrained.own)} on its own kind of images, ${percent(pretrained.other)} on the other`,
  );
  const results: Result[] = [];
  for (const method of settings.methods) {
    const result = await tune(settings, method, folder);
    results.push(result);
    say(`${result.method}: accuracy ${percent(result.accuracy)}`);
  }
  return { pretrained, results };
}

/** What all trainings have in common. */
function common({ batchSize, seed, pretrainSteps, tuneSteps, threads }: Settings): Partial<TrainInput> {
  const evalEvery = pretrainSteps + tuneSteps;
  return { batchSize, schedule: "cosine", seed, evalEvery, ...(threads === undefined ? {} : { threads }) };
}

/** Trains the model on the pictures of before the change, whole. */
async function pretrain(settings: Settings, folder: string): Promise<Comparison["pretrained"]> {
  const model = join(folder, "pretrained");
  const { seconds } = await train({
    ...common(settings),
    method: "full",
    model: join(folder, "start"),
    data: join(folder, "before"),
    output: model,
    steps: settings.pretrainSteps,
    learningRate: 1e-3,
    warmupSteps: Math.ceil(settings.pretrainSteps / 20),
    weightDecay: 0.05,
  });
  const own = await accuracyOn(heldOut(folder, "before"), model, null, settings.threads);
  const other = await accuracyOn(heldOut(folder, "after"), model, null, settings.threads);
  return { own, other, seconds };
}

/** Tunes the pre-trained model to the pictures of after the change by one method. */
async function tune(settings: Settings, input: Partial<TrainInput>, folder: string): Promise<Result> {
  const method = input.method ?? "lora";
  const [model, output] = [join(folder, "pretrained"), join(folder, method)];
  const { trainable_parameters: numParameters, seconds } = await train({
    ...common(settings),
    ...input,
    model,
    data: join(folder, "after"),
    output,
    steps: settings.tuneSteps,
    warmupSteps: Math.ceil(settings.tuneSteps / 20),
  });
  // What trains the model whole gives a model, the others an adapter for the one that they began with.
  const [tuned, adapter] = method === "full" ? [output, null] : [model, output];
  return {
    method,
    trainableParameters: numParameters,
    optimizerBytes: numParameters * numSlots("adamw") * Float32Array.BYTES_PER_ELEMENT,
    accuracy: await accuracyOn(heldOut(folder, "after"), tuned, adapter, settings.threads),
    seconds,
  };
}

function heldOut(folder: string, part: "before" | "after"): string {
  return join(folder, part, "held-images-idx3-ubyte");
}

function numSlots(optimizer: string): number {
  return OPTIMIZERS.find(({ name }) => name === optimizer)?.slots.length ?? 0;
}

/** Writes a share as people read it. */
export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

function writePictures(folder: string, part: string, pictures: readonly Picture[], size: number): void {
  mkdirSync(folder, { recursive: true });
  for (const [name, bytes] of Object.entries(imageFiles(pictures, size, size))) {
    writeFileSync(join(folder, `${part}-${name}`), bytes);
  }
}

async function accuracyOn(
  images: string,
  model: string,
  adapterFolder: string | null,
  threads?: number,
): Promise<number> {
  const engine = createEngine({ threads });
  const { base, checkpoint } = await loadModel(model);
  const adapter = adapterFolder === null ? null : (await readAdapter(adapterFolder, base)).adapter;
  const session = new Session(engine, base);
  const classifier = await Classifier.create(session, adapter);
  const accuracy = await classifier.accuracy(readImageFile(images, base.model));
  await session.release();
  await checkpoint.close();
  return accuracy;
}
